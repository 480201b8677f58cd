/** A verdict about evidence for people: a line for each check, and what the evidence says. */
import type {
  EvidenceClaims,
  EvidenceReason,
  Tcb,
} from '@countersign/protocol/attestation/appraisal'
import { describeEvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { toPrintable } from './printable.ts'
import type { Output, Style } from './terminal.ts'

/** A verdict; without a policy it has no tier. */
export type Judgement = Omit<EvidenceVerdict, 'tier'> & { readonly tier?: EvidenceVerdict['tier'] }

const reasons: Readonly<Record<EvidenceReason, string>> = {
  'any-allowed': 'the policy takes all',
  blocked: 'an earlier check did not pass',
  'collateral-missing': 'the collateral that it needs was not given',
  'not-given': 'nothing was given to compare with',
  'platform-has-none': 'the platform has nothing to judge',
}
const styles: Readonly<Record<Judgement['verdict'], Style>> = {
  valid: 'green',
  invalid: 'red',
  'not-allowed': 'red',
  incomplete: 'yellow',
}

/**
 * The verdict, check by check, then the claims, then each piece of a set so; ends with a line feed. A simulated root
 * stands out.
 */
export function formatJudgement(judgement: Judgement, output: Output): string {
  const { verdict, policy, policyDigest, platform, tier, checks, claims, pieces = [] } = judgement
  const word = output.style(styles[verdict], verdict.toUpperCase())
  const named = policy === '' ? 'none: nothing says which code is expected' : toPrintable(policy)
  const worth = tier === 'simulated' ? output.style('alarm', 'SIMULATED') : (tier ?? 'none')
  const lines = [
    `${output.style('bold', 'verdict')} ${word}   platform ${platform}   tier ${worth}   policy ${named}`,
    ...(policyDigest === '' ? [] : [output.style('dim', `policy digest ${policyDigest}`)]),
    ...checks.map((check) => formatCheck(check, output)),
    ...(claims === undefined ? [] : formatClaims(claims, output)),
  ]
  const whole = `${lines.join('\n')}\n`
  return [whole, ...pieces.map((piece) => formatJudgement(piece, output))].join('\n')
}

/** The same for programs: byte strings in hex, maps as objects. */
export function toJson(judgement: Judgement): object {
  const { claims, pieces, ...whole } = judgement
  const rest = pieces === undefined ? whole : { ...whole, pieces: pieces.map(toJson) }
  if (claims === undefined) return rest
  const { binding, measurements, tcb, ...others } = claims
  return {
    ...rest,
    claims: {
      ...others,
      binding: { form: binding.form, values: binding.values.map(toHex) },
      measurements: Object.fromEntries(measurements),
      tcb: tcb.kind === 'versions' ? { ...tcb, versions: Object.fromEntries(tcb.versions) } : tcb,
    },
  }
}

function formatCheck(check: EvidenceVerdict['checks'][number], output: Output): string {
  const id = check.id.padEnd(18)
  switch (check.status) {
    case 'passed':
      return `${output.style('green', '✓')} ${id}`.trimEnd()
    case 'failed': {
      const about = check.about === '' ? '' : ` (${toPrintable(check.about)})`
      const { message } = describeEvidenceCode(check.code)
      return `${output.style('red', '✗')} ${id}${output.style('red', check.code)}: ${message}${about}`
    }
    case 'not-checked': {
      const about = check.about === '' ? '' : ` (${toPrintable(check.about)})`
      const reason = output.style('dim', `${check.reason}: ${reasons[check.reason]}${about}`)
      return `${output.style('yellow', '–')} ${id}${reason}`
    }
    default:
      return check satisfies never
  }
}

function formatClaims(claims: EvidenceClaims, output: Output): readonly string[] {
  const { binding, machine, measurements, settings, timeMs } = claims
  const rows: readonly (readonly [string, string])[] = [
    ...binding.values.map((value) => [`bound to (${binding.form})`, toHex(value)] as const),
    ...measurements,
    ['firmware', formatTcb(claims.tcb)],
    ['machine', machine ?? 'not named'],
    ['settings', settings.length === 0 ? 'the safest' : settings.join(', ')],
    ...(timeMs === undefined ? [] : [['time', formatTime(timeMs)] as const]),
  ]
  return rows.map(
    ([name, value]) =>
      `  ${output.style('dim', toPrintable(name).padEnd(20))}${toPrintable(value)}`,
  )
}

function formatTcb(tcb: Tcb): string {
  switch (tcb.kind) {
    case 'none':
      return 'the platform says nothing of it'
    case 'unknown':
      return 'unknown'
    case 'status':
      return [tcb.status, ...tcb.advisories].join(', ')
    case 'versions':
      return `${tcb.product} ${Array.from(tcb.versions, ([name, version]) => `${name} ${version}`).join(', ')}`
    default:
      return tcb satisfies never
  }
}

function formatTime(timeMs: number): string {
  const isDate = Math.abs(timeMs) <= 8_640_000_000_000_000
  return isDate ? new Date(timeMs).toISOString() : String(timeMs)
}
