/** The result of verification: checks with a status each, and what follows from them (spec/bundle.md BU3). */
import type { EvidenceVerdict } from '../attestation/judge-evidence.ts'
import { describeCode, ProtocolError, type ErrorCode } from '../errors.ts'
import type { CheckId } from './policy.ts'

/** Why a check did not run. */
export type NotCheckedReason =
  | 'any-allowed'
  | 'any-issuer'
  | 'blocked'
  | 'no-evidence'
  | 'not-given'
  | 'other-model'
  | 'renamed'
  | 'unknown-kind'
  | 'unsaid'
  | 'withheld'

/** How a check ended. `detail` and `message` are for people; codes and reasons are for programs. */
export type CheckStatus =
  | { readonly status: 'passed'; readonly detail: string }
  | { readonly status: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly status: 'not-checked'; readonly reason: NotCheckedReason }

/** One check and the clause of spec/ that it judges. */
export type Check<Id extends string = CheckId> = {
  readonly id: Id
  readonly clause: string
} & CheckStatus

/** How deep the proof goes. */
export type Level = 'none' | 'L0' | 'L1' | 'L1-SIMULATED' | 'L2' | 'L2-SIMULATED'

/** The verdict about a bundle. */
export type Verdict = {
  readonly verdict: 'valid' | 'invalid' | 'incomplete'
  readonly level: Level
  readonly policy: string
  readonly checks: readonly Check[]
  /** The verdict about evidence of hardware, where it was judged: it says which of its checks refused. */
  readonly evidence?: EvidenceVerdict
}

/** The value that a passed check gives to later ones. */
export type CheckResult<T> = { readonly value: T } | undefined

/** Runs checks one after another and keeps how each ended. Owns the list. */
export type CheckRun<Id extends string = CheckId> = {
  readonly checks: readonly Check<Id>[]
  /** Runs `judge`; a ProtocolError fails the check, a NotChecked leaves it open, anything else is a bug and thrown. */
  check<T>(
    id: Id,
    clause: string,
    judge: () => T | Promise<T>,
    describe?: (value: T) => string,
  ): Promise<CheckResult<T>>
  passed(id: Id): boolean
}

/** Thrown inside a check that cannot judge. */
export class NotChecked extends Error {
  readonly reason: NotCheckedReason

  constructor(reason: NotCheckedReason) {
    super(reason)
    this.name = 'NotChecked'
    this.reason = reason
  }
}

/** The value of an earlier check; a check that needs one which did not pass is blocked. */
export function need<T>(result: CheckResult<T>): T {
  if (result === undefined) throw new NotChecked('blocked')
  return result.value
}

/**
 * How deep evidence that was judged goes (BU3.10), where everything that carries it has passed.
 *
 * @param evidence - the verdict about evidence of hardware, when there was one.
 */
export function levelOfEvidence(
  run: Pick<CheckRun, 'passed'>,
  evidence: EvidenceVerdict | undefined,
): Level {
  const attested = attestedBy.every((id) => run.passed(id))
  // The word of a service is none of hardware.
  if (!attested || evidence?.tier === 'service') return 'L0'
  const level = run.passed('build') ? 'L2' : 'L1'
  return evidence?.tier === 'production' ? level : `${level}-SIMULATED`
}

/** The checks of evidence: required, too, of whoever gives a policy of evidence (BU3.16). */
export const attestedBy: readonly CheckId[] = [
  'evidence-chain',
  'evidence-binding',
  'evidence-measurement',
  'evidence-accepted',
]

/** An empty run. */
export function createCheckRun<Id extends string = CheckId>(): CheckRun<Id> {
  const checks: Check<Id>[] = []
  return {
    checks,
    async check(id, clause, judge, describe) {
      try {
        const value = await judge()
        checks.push({ id, clause, status: 'passed', detail: describe?.(value) ?? '' })
        return { value }
      } catch (error) {
        checks.push({ id, clause, ...statusOf(error) })
        return undefined
      }
    },
    passed: (id) => checks.some((check) => check.id === id && check.status === 'passed'),
  }
}

function statusOf(error: unknown): CheckStatus {
  if (error instanceof NotChecked) return { status: 'not-checked', reason: error.reason }
  if (!(error instanceof ProtocolError)) throw error
  return { status: 'failed', code: error.code, message: describeCode(error.code).message }
}
