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
      digest: (name: string, bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> =>
        subtle.digest(name, bytes),
      importKey: (...question: KeyQuestion): Promise<webcrypto.CryptoKey> => {
        const [format, source, algorithm] = question
        const material = source instanceof Uint8Array ? toText(source) : JSON.stringify(source)
        const name = `${format}.${JSON.stringify(algorithm)}.${material}`
        return remember(keys, name, async () => {
          const key = await importKey(question)
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
        const question = [
          names.get(key),
          JSON.stringify(algorithm),
          toText(signature),
          toText(message),
        ]
        return remember(answers, question.join('.'), () =>
          subtle.verify(algorithm, key, signature, message),
        )
      },
    },
  })
}

/** What `importKey` is asked: a point, or a key as JSON. */
type KeyQuestion = readonly [
  format: 'raw' | 'jwk',
  source: Uint8Array<ArrayBuffer> | webcrypto.JsonWebKey,
  algorithm: webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams,
  extractable: boolean,
  usages: webcrypto.KeyUsage[],
]

function importKey([, source, ...rest]: KeyQuestion): Promise<webcrypto.CryptoKey> {
  return source instanceof Uint8Array
    ? webcrypto.subtle.importKey('raw', source, ...rest)
    : webcrypto.subtle.importKey('jwk', source, ...rest)
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
