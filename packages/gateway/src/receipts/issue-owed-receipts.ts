/** Issues the receipts that a process before this one did not get to (spec/receipt.md RC4.13). */
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { createClaimsTree, saltBytes } from '@countersign/protocol/receipt/claims'
import type { Gateway } from '../call/gateway.ts'
import { nativeSha256, nativeSha256Into } from '../keys/native-sha256.ts'
import type { OwedReceipt } from '../payment/metered/owed-receipts.ts'

const noEvents = new Uint8Array(0)

/**
 * Signs and stores a receipt for each charge without one. A crash in between leaves the rest to the next start; one
 * that was stored before it was noted is only noted.
 */
export async function issueOwedReceipts(
  gateway: Gateway,
  owed: readonly OwedReceipt[],
): Promise<void> {
  const { receipts, config } = gateway
  for (const receipt of owed) {
    const isKept = receipts.get(receipt.callId) !== undefined
    if (isKept || !config.receipts.enabled) receipt.stored()
    else await issueRecovered(gateway, receipt)
  }
}

async function issueRecovered(
  { epochs, random, receipts, nowMs }: Gateway,
  owed: OwedReceipt,
): Promise<void> {
  const { callId, requestHash, charge } = owed
  const id = fromHex(callId)
  if (id === undefined) throw new TypeError('a call id in the ledger is no hex')
  const claims = new Map([['recovered', new Map([['request', requestHash]])]])
  const tree = createClaimsTree(claims, random(saltBytes), nativeSha256Into)
  const timeMs = nowMs()
  const { statement, epoch } = await epochs.sign({
    type: 'receipt',
    id,
    timeMs,
    charge,
    claimsRoot: tree.root,
    claimsCount: tree.entries.length,
  })
  const recovered = {
    id: callId,
    timeMs,
    // The caller's token died with the process: nobody holds this one.
    tokenDigest: nativeSha256(random(32)),
    statement,
    claims: tree.entries,
    keysetDigest: epoch.keysetDigest,
    events: noEvents,
  }
  receipts.put(recovered, () => {
    owed.stored()
  })
}
