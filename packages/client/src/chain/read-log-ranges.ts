/** All events since a block, asked for in ranges: public nodes answer only so many blocks, or events, at once. */
import { ClientError } from '../errors.ts'

/** The events of these blocks, both included; up to the newest when `toBlock` is absent. `undefined`: the node refuses so many. */
export type AskLogs<T> = (
  fromBlock: bigint,
  toBlock: bigint | undefined,
) => Promise<readonly T[] | undefined>

const mostBlocks = 100_000n
const leastBlocks = 250n
const maxRanges = 10_000
const maxLogs = 50_000
/** After so many that were answered a range twice as long is tried. */
const answersUntilLonger = 16

/**
 * Begins with long ranges, and halves one that is refused. The last range has no end: a node behind the head that was
 * asked before answers what it has.
 *
 * @throws ClientError `chain-unreachable` when even short ranges are refused, or there is more than anybody can judge.
 */
export async function readLogRanges<T>(
  ask: AskLogs<T>,
  fromBlock: bigint,
  headBlock: bigint,
): Promise<readonly T[]> {
  const all: T[] = []
  let from = fromBlock
  let blocks = mostBlocks
  let answered = 0
  for (let range = 0; range < maxRanges; range++) {
    const isLast = from + blocks > headBlock
    const to = from + blocks - 1n
    const found = await ask(from, isLast ? undefined : to)
    if (found === undefined) {
      blocks = halve(isLast ? headBlock - from + 1n : blocks)
      answered = 0
      continue
    }
    all.push(...found)
    if (all.length > maxLogs) throw unreadable('too many events')
    if (isLast) return all
    from = to + 1n
    if (++answered % answersUntilLonger === 0 && blocks * 2n <= mostBlocks) blocks *= 2n
  }
  throw unreadable('too many blocks: name a later one to begin with')
}

function halve(blocks: bigint): bigint {
  const half = blocks / 2n
  if (half < leastBlocks) throw unreadable('no range is answered')
  return half
}

function unreadable(detail: string): ClientError {
  return new ClientError('chain-unreachable', { detail: `eth_getLogs: ${detail}` })
}
