/** What single nodes say at their own newest block: believed where it takes credit away (spec/payment.md PA29.4). */
import type { PublicClient } from 'viem'
import { withinTime } from '../exact/pause.ts'

/** How long a node is waited for that may only name less than enough others agree on. */
const waitMs = 300

/**
 * The answers of the nodes that have come as far as the agreed head: one that is behind would speak of the past. Who
 * does not answer in time says nothing.
 */
export async function readOwnAnswers<T>(
  ofNodes: readonly PublicClient[],
  agreedHead: bigint,
  read: (client: PublicClient) => Promise<T>,
): Promise<readonly T[]> {
  const answers = ofNodes.map(async (client) => {
    const number = await client.getBlockNumber({ cacheTime: 0 })
    return number < agreedHead ? undefined : { value: await read(client) }
  })
  const found = await Promise.all(
    answers.map((answer) =>
      withinTime(
        answer.catch(() => undefined),
        waitMs,
        undefined,
      ),
    ),
  )
  return found.flatMap((each) => (each === undefined ? [] : [each.value]))
}
