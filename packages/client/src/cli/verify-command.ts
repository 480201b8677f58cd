/** `countersign verify`: judges a bundle file, offline. */
import { createEvidenceVerifier } from '@countersign/protocol/attestation/verify-evidence'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { describeError, ProtocolError } from '@countersign/protocol/errors'
import { maxBundleBytes } from '@countersign/protocol/verify/bundle'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import { formatJudgement, toJson } from './attest-text.ts'
import {
  onlyPositional,
  parseCommandLine,
  parseUtcTime,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { withProgress } from './progress.ts'
import {
  policyPinHelp,
  policyPinOptions,
  readEvidencePolicy,
  toPins,
  type PolicyPins,
} from './read-evidence-policy.ts'
import { maxBodyBytes, readFileBounded } from './read-file-bounded.ts'
import {
  exitCodeOfReplay,
  formatReplay,
  replayTranslation,
  type ReplayFiles,
} from './replay-translation.ts'
import { formatVerdict } from './verdict-text.ts'

const maxPolicyBytes = 65_536
const verdictCodes: Readonly<Record<Verdict['verdict'], ExitCode>> = {
  valid: exitCodes.ok,
  invalid: exitCodes.invalid,
  incomplete: exitCodes.incomplete,
}

/** The command. */
export const verifyCommand: Command = {
  help: `usage: countersign verify FILE [options]

Judges a bundle (*.countersign.json) without a network, check by check.

  --policy NAME|FILE  default (accepts SIMULATED evidence), production (does not; the one that holds beside
                      --evidence-policy where none is named), or a policy file
  --evidence-policy FILE  what to ask of evidence of hardware (spec/attestation.md AT8); without one it proves nothing
${policyPinHelp}
  --request FILE      the request body that you sent: must be the very bytes
  --response FILE     the response body that you got: must be the very bytes
  --replay            run the translation of the call again (spec/translation.md TR8); needs the next and --request
  --upstream-response FILE  the provider's bytes, from GET /v1/receipts/ID/upstream-response
  --prefix            the response is only the beginning of a stream, up to the end of an event
  --nonce TEXT        the x-receipt-nonce that you sent (base64url)
  --now TIME          judge as of this time, for example 2026-11-21T12:00:00Z
  --json              print the verdict as JSON

exit code: 0 valid, 1 invalid, 2 incomplete, 64 wrong usage, 66 a file cannot be read

examples:
  countersign verify answer.countersign.json
  countersign verify answer.countersign.json --policy production
  countersign verify answer.countersign.json --request request.json --response response.txt --json
`,
  run,
}

/** The exit code that says a verdict. */
export function exitCodeOf({ verdict }: Verdict): ExitCode {
  return verdictCodes[verdict]
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    policy: { type: 'string' },
    'evidence-policy': { type: 'string' },
    ...policyPinOptions,
    request: { type: 'string' },
    response: { type: 'string' },
    'upstream-response': { type: 'string' },
    replay: { type: 'boolean', default: false },
    prefix: { type: 'boolean', default: false },
    nonce: { type: 'string' },
    now: { type: 'string' },
    json: { type: 'boolean', default: false },
  })
  const file = onlyPositional(positionals, 'FILE')
  const nowMs = values.now === undefined ? context.nowMs() : parseUtcTime('--now', values.now)
  const nonce = values.nonce === undefined ? undefined : parseNonce(values.nonce)
  if (values.prefix && values.response === undefined) {
    throw new UsageError('--prefix says something about --response, which is missing')
  }
  const replayFiles = await readReplayFiles(values)
  const policy = await readPolicy(values.policy, values['evidence-policy'])
  const bundle = await readFileBounded(file, maxBundleBytes)
  const held: Held = {
    ...(values.request === undefined
      ? {}
      : { request: await readFileBounded(values.request, maxBodyBytes) }),
    ...(values.response === undefined
      ? {}
      : {
          response: await readFileBounded(values.response, maxBodyBytes),
          responseIsPrefix: values.prefix,
        }),
    ...(nonce === undefined ? {} : { nonce }),
  }
  const { out, err } = context.terminal
  const pins = toPins(values)
  const judge = await readEvidenceVerifier(values['evidence-policy'], pins, context.nowMs())
  const judged = verify(bundle, policy, nowMs, held, judge)
  const verdict = await withProgress(err, 'verifying', judged)
  const { evidence } = verdict
  const json = evidence === undefined ? verdict : { ...verdict, evidence: toJson(evidence) }
  const text = evidence === undefined ? '' : `\n${formatJudgement(evidence, out)}`
  const replay = replayFiles && (await replayTranslation(bundle, replayFiles, context.environment))
  const replayText = replay === undefined ? '' : formatReplay(replay, out)
  out.write(
    values.json
      ? `${JSON.stringify(replay === undefined ? json : { ...json, replay })}\n`
      : formatVerdict(verdict, out) + text + replayText,
  )
  return worse(exitCodeOf(verdict), replay === undefined ? exitCodes.ok : exitCodeOfReplay(replay))
}

/** A failure is worse than an open question. */
function worse(a: ExitCode, b: ExitCode): ExitCode {
  if (a === exitCodes.invalid || b === exitCodes.invalid) return exitCodes.invalid
  return a === exitCodes.ok ? b : a
}

async function readReplayFiles(values: {
  readonly replay: boolean
  readonly request?: string | undefined
  readonly 'upstream-response'?: string | undefined
}): Promise<ReplayFiles | undefined> {
  const { replay, request, 'upstream-response': upstreamResponse } = values
  if (!replay && upstreamResponse === undefined) return undefined
  if (!replay || request === undefined || upstreamResponse === undefined) {
    throw new UsageError('--replay, --request and --upstream-response belong together')
  }
  const upstreamBytes = await readFileBounded(upstreamResponse, maxBodyBytes)
  return { request, upstreamResponse, upstreamBytes }
}

/**
 * A policy by its name, or the file of one. Where none is named, `production` beside a policy of evidence, else `default`.
 *
 * @throws ClientError `file-unreadable`.
 */
export async function readPolicy(
  named: string | undefined,
  evidencePolicy: string | undefined,
): Promise<Uint8Array> {
  const policy = named ?? (evidencePolicy === undefined ? 'default' : 'production')
  if (policy === 'default') return defaultPolicy
  if (policy === 'production') return productionPolicy
  return readFileBounded(policy, maxPolicyBytes)
}

/** `undefined` when no policy is given: hardware is judged by a policy or not at all. */
export async function readEvidenceVerifier(
  path: string | undefined,
  pins: PolicyPins,
  nowMs: number,
): Promise<ReturnType<typeof createEvidenceVerifier> | undefined> {
  if (path === undefined) return undefined
  const bytes = await readEvidencePolicy(path, '--evidence-policy', pins, nowMs)
  try {
    return createEvidenceVerifier(bytes)
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new UsageError(`--evidence-policy: ${describeError(cause)}`, { cause })
  }
}

function parseNonce(text: string): Uint8Array {
  const nonce = fromBase64url(text)
  if (nonce === undefined || nonce.length === 0 || nonce.length > 64) {
    throw new UsageError('--nonce takes 1 to 64 bytes in unpadded base64url')
  }
  return nonce
}
