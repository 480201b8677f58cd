/** Hashes that are too seldom needed to carry code for them: those of WebCrypto. */
import type { HashName } from './verify-signature.ts'

/**
 * The hash of the bytes.
 *
 * @throws Error in a page without WebCrypto (not https, not localhost), where nothing can be judged.
 */
export async function digest(hash: HashName, bytes: Uint8Array): Promise<Uint8Array> {
  const { subtle } = crypto
  if (subtle === undefined) throw new Error('no WebCrypto here: a page needs https or localhost')
  return new Uint8Array(await subtle.digest(hash, bytes))
}
