/** Why a sealed message was refused (spec/sealed.md): one closed table. */

const table = {
  'sealed-malformed': 'the sealed message is not as specified',
  'sealed-tampered': 'a chunk is not the one that was sealed in its place',
  'sealed-truncated': 'the sealed message ends before its last chunk',
} as const

/** All codes of sealed messages. */
export type SealedErrorCode = keyof typeof table

/** The only error that readers of sealed messages throw. */
export class SealedError extends Error {
  readonly code: SealedErrorCode

  constructor(code: SealedErrorCode, options?: { cause?: unknown }) {
    super(`${code}: ${table[code]}`, options)
    this.name = 'SealedError'
    this.code = code
  }
}
