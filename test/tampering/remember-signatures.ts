/** Makes many verifications of nearly the same bundle fast: WebCrypto is asked once for each question. */
import { webcrypto } from 'node:crypto'
import { vi } from 'vitest'

/** Answers that were remembered at most; above it questions are simply asked again. */
const maxAnswers = 500

/**
 * Puts a `crypto` in place that asks the real one and remembers its answers: the same key, signature and message have
 * the same answer. Nothing is answered without having been asked.
 */
export function rememberSignatures(): void {
  const keys = new Map<string, Promise<webcrypto.CryptoKey>>()
  const names = new WeakMap<webcrypto.CryptoKey, string>()
  const answers = new Map<string, Promise<boolean>>()
  const { subtle } = webcrypto
  vi.stubGlobal('crypto', {
    subtle: {
      importKey: (
        format: 'raw',
        bytes: Uint8Array<ArrayBuffer>,
        algorithm: webcrypto.EcKeyImportParams,
        extractable: boolean,
        usages: webcrypto.KeyUsage[],
      ): Promise<webcrypto.CryptoKey> => {
        const name = toText(bytes)
        return remember(keys, name, async () => {
          const key = await subtle.importKey(format, bytes, algorithm, extractable, usages)
          names.set(key, name)
          return key
        })
      },
      verify: (
        algorithm: webcrypto.EcdsaParams,
        key: webcrypto.CryptoKey,
        signature: Uint8Array<ArrayBuffer>,
        message: Uint8Array<ArrayBuffer>,
      ): Promise<boolean> => {
        const question = `${names.get(key) ?? ''}.${toText(signature)}.${toText(message)}`
        return remember(answers, question, () => subtle.verify(algorithm, key, signature, message))
      },
    },
  })
}

function remember<T>(map: Map<string, T>, question: string, ask: () => T): T {
  const known = map.get(question)
  if (known !== undefined) return known
  const answer = ask()
  if (map.size < maxAnswers) map.set(question, answer)
  return answer
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
