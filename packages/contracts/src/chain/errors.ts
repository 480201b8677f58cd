/** Every way the embedded chain refuses or fails. `code` is stable; the message is for people. */

/** A closed union; the table below says what the caller should do. */
export type ChainErrorCode = keyof typeof chainErrors

/**
 * What each code means. `fix`: change the call or the machine. `retry`: the same call may succeed later.
 * `stop`: the data on disk cannot be trusted, so nothing is served from it.
 */
export const chainErrors = {
  'anvil-missing': { action: 'fix', meaning: 'there is no anvil binary for this platform' },
  'anvil-failed': { action: 'retry', meaning: 'anvil does not start or does not stay up' },
  'data-locked': { action: 'fix', meaning: 'another process uses this data directory' },
  'genesis-invalid': { action: 'stop', meaning: 'genesis.json is not what we wrote' },
  'genesis-outdated': {
    action: 'fix',
    meaning:
      'an earlier version made this chain, without the payment contracts: use a new directory',
  },
  'journal-damaged': { action: 'stop', meaning: 'the journal and the snapshot do not fit' },
  'journal-write-failed': { action: 'retry', meaning: 'the journal could not be made durable' },
  'transaction-invalid': { action: 'fix', meaning: 'the transaction can never be accepted' },
  'transaction-refused': { action: 'fix', meaning: 'nonce, balance or fee do not allow it now' },
  'chain-busy': { action: 'retry', meaning: 'a queue or the next block is full' },
  'chain-closed': { action: 'retry', meaning: 'the chain is stopping' },
} as const

/** An error of the embedded chain. */
export class ChainError extends Error {
  override readonly name = 'ChainError'
  readonly code: ChainErrorCode

  constructor(code: ChainErrorCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options)
    this.code = code
  }
}
