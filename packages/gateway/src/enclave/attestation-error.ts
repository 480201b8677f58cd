/** Why no evidence could be made: one closed table for all producers. */

const table = {
  'attester-busy': ['later', 'too many callers wait for evidence'],
  'attester-malformed': [
    'evidence',
    'the source of evidence answered something else than it should',
  ],
  'attester-refused': ['evidence', 'the source of evidence refused'],
  'attester-timeout': ['later', 'the source of evidence did not answer in time'],
  'attester-unreachable': ['later', 'the source of evidence cannot be reached'],
  'enrolment-mismatch': [
    'code',
    'the enrolment record is for another key than the one of this TPM',
  ],
  'measurement-conflict': [
    'code',
    'another build or configuration was measured since this machine started: start it again',
  ],
  'no-attester': ['code', 'this machine has no source of evidence that is known here'],
  'same-platform-twice': [
    'code',
    'two sources give evidence of one platform: a set has one piece of each',
  ],
  'several-attesters': ['code', 'this machine has several sources of evidence: choose one'],
} as const

/** All codes of producers. */
export type AttestationErrorCode = keyof typeof table

/** Thrown by producers of evidence, and by nothing else. `detail` names the step, never secrets. */
export class AttestationError extends Error {
  readonly code: AttestationErrorCode
  /** `code`: the operator must act. `later`: try again. `evidence`: this source is not to be trusted. */
  readonly family: 'code' | 'later' | 'evidence'

  constructor(code: AttestationErrorCode, detail: string, options?: { cause?: unknown }) {
    const [family, message] = table[code]
    super(`${code}: ${message} (${detail})`, options)
    this.name = 'AttestationError'
    this.code = code
    this.family = family
  }
}
