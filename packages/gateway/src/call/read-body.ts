/** Reads the exact bytes of a body. */
import type { IncomingMessage } from 'node:http'
import type { BodyCollector } from './body-collector.ts'
import { refuse } from './call-refused.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** What was received of a body, also of one that is refused. Owned by readBody. */
export type BodySoFar = {
  readonly collector: BodyCollector
  /** All that came, also what is not kept. */
  sizeBytes: number
}

/**
 * Reads the body up to the limit.
 *
 * @throws CallRefused `body-encoded`, `body-too-large`, `overloaded`, `client-gone`.
 */
export async function readBody(
  request: IncomingMessage,
  limitBytes: number,
  received: BodySoFar,
  memory: MemoryBudget,
): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw refuse('body-too-large')
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      received.sizeBytes += chunk.length
      const isTooLarge = received.sizeBytes > limitBytes
      if (!isTooLarge && memory.take(chunk.length)) received.collector.append(chunk)
      else {
        request.off('data', take)
        reject(refuse(isTooLarge ? 'body-too-large' : 'overloaded'))
      }
    }
    request.on('data', take)
    request.on('end', resolve)
    request.on('error', (cause) => {
      reject(refuse('client-gone', '', cause))
    })
    // Comes after 'end' too, and an error costs a stack trace.
    request.on('close', () => {
      if (!request.readableEnded) reject(refuse('client-gone'))
    })
  })
  // Refused only now, so that the refusal states the body that its caller holds.
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') throw refuse('body-encoded')
  return received.collector.bytes()
}
