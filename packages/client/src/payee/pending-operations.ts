/** What waits in the timelock of a registry. Keys may wait there: that is its purpose. Nothing else may. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { hashText } from '@countersign/protocol/payment/eip712'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { ChainLog, ChainReader } from '../chain/chain-reader.ts'
import { encodeCall, readWord } from '../chain/contract-call.ts'
import { ClientError } from '../errors.ts'

type Operation = { readonly id: Hex; readonly target: Hex; readonly selector: string }

const maxOperations = 4096
const scheduled: Hex = `0x${toHex(hashText('CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)'))}`
// Both make no key count that was not announced by an event of its own.
const harmless = new Set([
  encodeCall('registerKey(bytes32,address,uint40,uint40,bytes32)', []),
  encodeCall('revokeKey(bytes32,address,uint40)', []),
])

/**
 * Refuses a registry of which somebody has announced to change registrar, guardian, owner or delay.
 *
 * @throws ClientError `registry-changed`, `chain-unreachable`.
 */
export async function judgePendingOperations(
  reader: ChainReader,
  timelock: Hex,
  registry: Hex,
  fromBlock: bigint,
): Promise<void> {
  const logs = await reader.getLogs(timelock, scheduled, fromBlock)
  const changes = logs
    .map(readOperation)
    .filter(({ target, selector }) => target !== registry || !harmless.has(`0x${selector}`))
  if (changes.length > maxOperations) {
    throw new ClientError('registry-changed', { detail: 'too many operations to judge' })
  }
  for (const { id, target, selector } of changes) {
    // One that was executed or cancelled waits no more.
    const isPending = await readWord(reader, timelock, 'isOperationPending(bytes32)', [id])
    if (isPending === 0n) continue
    throw new ClientError('registry-changed', { detail: `0x${selector} at ${target} is announced` })
  }
}

/** Words of the event: target, value, offset of the data, predecessor, delay, length of the data, data. */
function readOperation({ topics, data }: ChainLog): Operation {
  const [, id] = topics
  const word = (index: number): string => data.slice(2 + 64 * index, 66 + 64 * index)
  if (id === undefined || data.length < 2 + 64 * 6) {
    throw new ClientError('chain-unreachable', { detail: 'an event of another form' })
  }
  const length = BigInt(`0x${word(5)}`)
  return { id, target: `0x${word(0).slice(24)}`, selector: length < 4n ? '' : word(6).slice(0, 8) }
}
