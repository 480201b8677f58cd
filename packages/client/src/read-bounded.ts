/** Reads a body that may be larger than anybody wants. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'

/** The whole body, or `undefined` (and the rest is cancelled) when it is longer than the limit. */
export async function readBounded(
  response: Response,
  limitBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const body: ReadableStream<Uint8Array> | null = response.body
  if (body === null) return new Uint8Array(0)
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > limitBytes) {
      await reader.cancel()
      return undefined
    }
    chunks.push(value)
  }
  return new Uint8Array(concatBytes(...chunks))
}
