/** Judges the evidence about the keyset (spec/bundle.md checks 15 to 18, BU3.6, BU3.16). */
import type { EvidenceCheck, EvidenceCheckId } from '../attestation/appraisal.ts'
import type { EvidenceExpectation, EvidenceVerdict } from '../attestation/judge-evidence.ts'
import { createReportData } from '../attestation/report-data.ts'
import { appraiseSimulatedEvidence, type Quote } from '../attestation/simulated.ts'
import { equalBytes } from '../bytes/byte-string.ts'
import { toHex } from '../bytes/text-encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Keyset } from '../receipt/keyset.ts'
import type { KeysetPayload } from '../receipt/payload.ts'
import type { Bundle, Evidence } from './bundle.ts'
import type { Policy } from './policy.ts'
import { need, NotChecked, type CheckResult, type CheckRun } from './verdict.ts'

/**
 * Judges evidence of hardware by a policy of its own (`createEvidenceVerifier`). Passed in, so that whoever verifies
 * without hardware carries no code for it.
 *
 * @returns `undefined` for a kind that is no platform and not `several`.
 */
export type EvidenceVerifier = (
  kind: string,
  data: Uint8Array,
  expected: EvidenceExpectation,
) => Promise<EvidenceVerdict | undefined>

/** A keyset and the payload of its statement. */
export type SignedKeyset = { readonly payload: KeysetPayload; readonly keyset: Keyset }

/** What the checks of evidence need from the ones before them. */
export type EvidenceInput = {
  readonly bundle: CheckResult<Pick<Bundle, 'evidence'>>
  readonly keyset: CheckResult<SignedKeyset>
  readonly policy: CheckResult<Policy>
  /** When evidence that was made just now is judged. Absent, it is as old as the keyset statement. */
  readonly asOfMs?: number
}

/** Checks that say whether the evidence is genuine, whatever a policy asks. */
const genuine: ReadonlySet<EvidenceCheckId> = new Set<EvidenceCheckId>([
  'format',
  'root',
  'chain',
  'validity',
  'revocation',
  'signature',
  'debug',
  'configuration',
])

/** Those that no genuine evidence leaves open, except where its platform has nothing to judge. */
const trusted: readonly EvidenceCheckId[] = ['format', 'root', 'chain', 'validity', 'signature']

function isSettled(checks: readonly EvidenceCheck[], id: EvidenceCheckId): boolean {
  return checks.some(
    (check) =>
      check.id === id &&
      (check.status === 'passed' ||
        (check.status === 'not-checked' && check.reason === 'platform-has-none')),
  )
}

/** Names under which a platform may carry what the keyset says of itself. */
const measuredNames = [
  ['countersign/build', 'buildDigest'],
  ['countersign/configuration', 'configDigest'],
] as const

/** Runs the four checks. @returns the verdict about evidence of hardware, when there was one. */
export async function checkEvidence(
  run: Pick<CheckRun, 'check'>,
  input: EvidenceInput,
  judge: EvidenceVerifier | undefined,
): Promise<EvidenceVerdict | undefined> {
  const isSimulated = input.bundle?.value.evidence[0]?.kind === 'simulated'
  if (judge !== undefined && !isSimulated) return await checkHardware(run, input, judge)
  await checkSimulated(run, input)
  return undefined
}

async function checkHardware(
  run: Pick<CheckRun, 'check'>,
  input: EvidenceInput,
  judge: EvidenceVerifier,
): Promise<EvidenceVerdict | undefined> {
  // Owned here: what was found stays known when it is refused.
  let found: EvidenceVerdict | undefined
  const verdict = await run.check(
    'evidence-chain',
    'BU3.16',
    async () => {
      found = await judgeHardware(input, judge)
      const { checks } = found
      if (checks.some(({ id, status }) => status === 'failed' && genuine.has(id))) {
        throw new ProtocolError('evidence-chain-invalid')
      }
      // Not failed is not passed: evidence without its chain of trust proves nothing yet.
      if (!trusted.every((id) => isSettled(checks, id))) throw new NotChecked('blocked')
      return found
    },
    ({ platform }) => platform,
  )
  await run.check('evidence-binding', 'ST5.5', () => {
    if (statusOf(need(verdict), 'binding') !== 'passed') {
      throw new ProtocolError('evidence-binding-mismatch')
    }
  })
  await run.check('evidence-measurement', 'BU3.16', () => {
    checkMeasurement(need(verdict), need(input.keyset).keyset)
  })
  await run.check(
    'evidence-accepted',
    'BU3.16',
    () => checkAllowed(need(verdict)),
    ({ platform, tier }) =>
      tier === 'simulated' ? `SIMULATED: ${platform} under a root of tests` : platform,
  )
  return found
}

async function judgeHardware(
  input: EvidenceInput,
  judge: EvidenceVerifier,
): Promise<EvidenceVerdict> {
  const { kind, nonce, data } = firstEvidence(input)
  const { payload } = need(input.keyset)
  const { asOfMs = payload.timeMs } = input
  const verdict = await judge(kind, data, {
    asOfMs,
    knownSinceMs: asOfMs,
    reportData: createReportData(payload.keysetDigest, nonce),
  })
  if (verdict === undefined) throw new NotChecked('unknown-kind')
  return verdict
}

function checkMeasurement(verdict: EvidenceVerdict, keyset: Keyset): void {
  const pieces = verdict.pieces ?? [verdict]
  const isMeasured = measuredNames.every(([name, field]) => {
    const named = toHex(keyset[field])
    return pieces.every(({ claims }) => (claims?.measurements.get(name) ?? named) === named)
  })
  if (statusOf(verdict, 'measurement') !== 'passed' || !isMeasured) {
    throw new ProtocolError('evidence-measurement-mismatch')
  }
}

/** Which check refused stands in the verdict about the evidence. */
function checkAllowed(verdict: EvidenceVerdict): EvidenceVerdict {
  if (verdict.verdict === 'incomplete') throw new NotChecked('blocked')
  if (verdict.verdict !== 'valid') throw new ProtocolError('evidence-kind-refused')
  return verdict
}

function statusOf({ checks }: EvidenceVerdict, id: EvidenceCheckId): string | undefined {
  return checks.find((check) => check.id === id)?.status
}

async function checkSimulated(run: Pick<CheckRun, 'check'>, input: EvidenceInput): Promise<void> {
  const { keyset, policy } = input
  const quote = await run.check('evidence-chain', 'ST5.3, ST5.4', () => {
    const { kind, data } = firstEvidence(input)
    if (kind !== 'simulated') throw new NotChecked('unknown-kind')
    return appraiseSimulatedEvidence(data)
  })
  await run.check('evidence-binding', 'ST5.5', () => {
    const { reportData } = need(quote)
    const expected = createReportData(need(keyset).payload.keysetDigest, firstEvidence(input).nonce)
    if (!equalBytes(reportData, expected)) {
      throw new ProtocolError('evidence-binding-mismatch')
    }
  })
  await run.check('evidence-measurement', 'ST5.6', () => {
    if (!equalBytes(need(quote).measurement, need(keyset).keyset.buildDigest)) {
      throw new ProtocolError('evidence-measurement-mismatch')
    }
  })
  await run.check(
    'evidence-accepted',
    'BU3.6',
    () => checkAccepted(firstEvidence(input), quote, need(policy)),
    (kind) => (kind === 'simulated' ? 'SIMULATED: no hardware stands behind this key' : kind),
  )
}

function firstEvidence({ bundle, policy }: EvidenceInput): Evidence {
  const [first] = need(bundle).evidence
  need(policy)
  if (first === undefined) throw new NotChecked('no-evidence')
  return first
}

function checkAccepted({ kind }: Evidence, quote: CheckResult<Quote>, policy: Policy): string {
  const accepted = policy.evidence.find((candidate) => candidate.kind === kind)
  if (accepted === undefined) throw new ProtocolError('evidence-kind-refused')
  const { roots } = accepted
  if (roots !== 'any' && !roots.has(toHex(need(quote).rootDigest))) {
    throw new ProtocolError('evidence-root-refused')
  }
  return kind
}
