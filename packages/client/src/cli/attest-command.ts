/** `countersign attest verify`: judges evidence of hardware, offline. */
import { platforms } from '@countersign/protocol/attestation/appraisal'
import {
  parseEvidencePolicy,
  type EvidencePolicy,
} from '@countersign/protocol/attestation/evidence-policy'
import { severalKind } from '@countersign/protocol/attestation/evidence-set'
import {
  judgeAlone,
  type EvidenceExpectation,
} from '@countersign/protocol/attestation/judge-evidence'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import {
  appraisers,
  verifyEvidence,
  verifyEvidenceSet,
} from '@countersign/protocol/attestation/verify-evidence'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { describeError, ProtocolError } from '@countersign/protocol/errors'
import { formatJudgement, toJson, type Judgement } from './attest-text.ts'
import {
  onlyPositional,
  parseCommandLine,
  parseUtcTime,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { readEvidence, readEvidenceSet } from './read-evidence.ts'
import {
  policyPinHelp,
  policyPinOptions,
  readEvidencePolicy,
  toPins,
  type PolicyPins,
} from './read-evidence-policy.ts'

/** The command. */
export const attestCommand: Command = {
  help: `usage: countersign attest verify FILE --platform NAME [options]

Judges evidence of hardware without a network, check by check: a report, quote, document or token as the platform gave
it, or evidence with its collateral as bundles carry it.

  --platform NAME         ${platforms.slice(0, 5).join(', ')},
                          ${platforms.slice(5).join(', ')},
                          ${severalKind} (a set of them, with --format evidence and --policy)
  --policy FILE           what to ask of it (spec/attestation.md AT8); without one nothing is ever valid
${policyPinHelp}
  --collateral NAME=FILE  a certificate, list or statement by its name (may be repeated); PEM is read where DER is asked
  --collateral FILE       a JSON file with tcb_info, qe_identity, root_ca_crl… as collateral services give it
  --format FORMAT         how FILE is written: raw (default), hex, base64, evidence (with its collateral)
  --report-data HEX       64 bytes that the evidence must be bound to
  --as-of TIME            judge as of this time, for example 2026-11-21T12:00:00Z
  --json                  print the verdict as JSON

exit code: 0 valid, 1 invalid or not allowed, 2 incomplete, 64 wrong usage, 66 a file cannot be read

examples:
  countersign attest verify quote.bin --platform intel-tdx --collateral collateral.json --as-of 2025-06-20T00:00:00Z
  countersign attest verify report.bin --platform amd-sev-snp --collateral ark=ark.der --collateral ask=ask.der \\
    --collateral vek=vcek.pem --policy policy.json
`,
  run,
}

const codes: Readonly<Record<Judgement['verdict'], ExitCode>> = {
  valid: exitCodes.ok,
  invalid: exitCodes.invalid,
  'not-allowed': exitCodes.invalid,
  incomplete: exitCodes.incomplete,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const [verb, ...rest] = args
  if (verb !== 'verify') throw new UsageError('attest takes: verify FILE --platform NAME')
  const { values, positionals } = parseCommandLine(rest, {
    platform: { type: 'string' },
    policy: { type: 'string' },
    ...policyPinOptions,
    collateral: { type: 'string', multiple: true, default: [] },
    format: { type: 'string', default: 'raw' },
    'report-data': { type: 'string' },
    'as-of': { type: 'string' },
    json: { type: 'boolean', default: false },
  })
  const file = onlyPositional(positionals, 'FILE')
  const asOf = values['as-of']
  const asOfMs = asOf === undefined ? context.nowMs() : parseUtcTime('--as-of', asOf)
  const expected = { asOfMs, ...reportDataOf(values['report-data']) }
  const pins = toPins(values)
  const policy =
    values.policy === undefined ? undefined : await readPolicy(values.policy, pins, context.nowMs())
  const judgement =
    values.platform === severalKind
      ? await judgeSet(file, values, policy, expected)
      : await judgeFile(file, values, policy, expected)
  const { out } = context.terminal
  out.write(
    values.json ? `${JSON.stringify(toJson(judgement))}\n` : formatJudgement(judgement, out),
  )
  return codes[judgement.verdict]
}

type Given = {
  readonly platform?: string | undefined
  readonly format: string
  readonly collateral: readonly string[]
}

async function judgeFile(
  file: string,
  given: Given,
  policy: EvidencePolicy | undefined,
  expected: EvidenceExpectation,
): Promise<Judgement> {
  const platform = platforms.find((known) => known === given.platform)
  if (platform === undefined) {
    throw new UsageError(`--platform takes ${platforms.join(', ')}, ${severalKind}`)
  }
  const evidence = await readEvidence(file, given.format, given.collateral)
  if (policy !== undefined) {
    return judgeAlone(await verifyEvidence(platform, evidence, policy, expected), policy)
  }
  const roots = new Set(vendorRoots.get(platform))
  const appraisal = await appraisers[platform](evidence, { asOfMs: expected.asOfMs, roots })
  const isBad = appraisal.checks.some(({ status }) => status === 'failed')
  // Nobody has said which code is expected: evidence of any code is as good as of none.
  return { ...appraisal, policy: '', policyDigest: '', verdict: isBad ? 'invalid' : 'incomplete' }
}

/** A set has its collateral in it, and says nothing of a vendor that a policy does not name. */
async function judgeSet(
  file: string,
  { format, collateral }: Given,
  policy: EvidencePolicy | undefined,
  expected: EvidenceExpectation,
): Promise<Judgement> {
  if (format !== 'evidence' || collateral.length > 0 || policy === undefined) {
    throw new UsageError(`--platform ${severalKind} takes --format evidence and --policy`)
  }
  return await verifyEvidenceSet(await readEvidenceSet(file), policy, expected)
}

async function readPolicy(path: string, pins: PolicyPins, nowMs: number): Promise<EvidencePolicy> {
  const bytes = await readEvidencePolicy(path, '--policy', pins, nowMs)
  try {
    return parseEvidencePolicy(bytes)
  } catch (cause) {
    if (cause instanceof ProtocolError)
      throw new UsageError(`--policy: ${describeError(cause)}`, { cause })
    throw cause
  }
}

function reportDataOf(text: string | undefined): Pick<EvidenceExpectation, 'reportData'> {
  if (text === undefined) return {}
  const reportData = fromHex(text)
  if (reportData?.length !== 64)
    throw new UsageError('--report-data takes 64 bytes in lower-case hex')
  return { reportData }
}
