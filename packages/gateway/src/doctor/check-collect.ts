/** Whether what is paid reaches the operator by itself, and whom it reaches (spec/payment.md PA31). */
import type { PublicClient } from 'viem'
import type { Config } from '../config/schema.ts'
import { encodeStep, readOwner, readPlace, type PayTo } from '../payment/collect/collect-place.ts'
import { listPayTos } from '../payment/collect/open-collector.ts'
import { isRevert } from '../payment/channel/settlement-key.ts'
import { createDoctorClient } from './check-nodes.ts'
import { codeOf, createFindings, type Finding, type Findings } from './finding.ts'

/** The findings about collecting; none where nothing is paid on a chain. */
export async function checkCollect(
  { payment }: Config,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const findings = createFindings('collect')
  const first =
    payment === 'none' ? undefined : (payment.exact ?? payment.upto ?? payment.batchSettlement)
  if (payment === 'none' || first === undefined) return findings.all
  const client = createDoctorClient(payment, first.rpcUrl, timeoutMs)
  for (const payTo of listPayTos(payment)) {
    await judgePayTo(client, toHex(first.asset), payTo, payment.collect !== undefined, findings)
  }
  return findings.all
}

async function judgePayTo(
  client: PublicClient,
  asset: `0x${string}`,
  payTo: PayTo,
  isConfigured: boolean,
  findings: Findings,
): Promise<void> {
  const { address, batch } = payTo
  try {
    const { inContractAtomic, heldAtomic, canForward } = await readPlace(client, asset, payTo)
    const paid = canForward ? await readOwner(client, address) : address
    const lies = `${inContractAtomic} in the batch contract, ${heldAtomic} in the payee`
    const needsCollecting = canForward || batch !== undefined
    if (needsCollecting && !isConfigured) {
      const hint = 'Set payment.collect, or run countersign payee collect now and then.'
      findings.warning(address, `${lies}: nobody brings it to ${paid}`, hint)
    } else findings.ok(address, `goes to ${paid}; ${lies}`)
    if (canForward) await tryForward(client, asset, payTo, paid, findings)
  } catch (error) {
    // What is wrong with the chain is said by the checks of the chain.
    findings.skipped(address, codeOf(error))
  }
}

async function tryForward(
  client: PublicClient,
  asset: `0x${string}`,
  payTo: PayTo,
  paid: string,
  findings: Findings,
): Promise<void> {
  try {
    await client.call(encodeStep('forward', payTo, asset))
  } catch (error) {
    if (!isRevert(error)) throw error
    const hint = 'The token is paused, or refuses one of the two: see what its issuer says.'
    findings.failed(payTo.address, `the token refuses to pay ${paid}`, hint)
  }
}

function toHex(text: string): `0x${string}` {
  return `0x${text.slice(2)}`
}
