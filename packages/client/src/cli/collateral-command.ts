/** `countersign collateral refresh`: fetches what evidence is judged with, and keeps it when it holds. */
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import {
  platforms,
  type Platform,
  type PlatformEvidence,
} from '@countersign/protocol/attestation/appraisal'
import { EvidenceError } from '@countersign/protocol/attestation/evidence-errors'
import { parseKeySet } from '@countersign/protocol/attestation/token/key-set'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { listCollateralRequests } from '../collateral/collateral-requests.ts'
import { fetchCollateral } from '../collateral/fetch-collateral.ts'
import { ClientError } from '../errors.ts'
import { formatJudgement } from './attest-text.ts'
import {
  onlyPositional,
  parseCommandLine,
  parseUtcTime,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { readEvidence } from './read-evidence.ts'
import { writeFileAs } from './read-file-bounded.ts'

/** The command. */
export const collateralCommand: Command = {
  help: `usage: countersign collateral refresh FILE --platform NAME --out DIR [options]

Asks the services of Intel, AMD, Google or NVIDIA for the certificates, lists and statements that this evidence is
judged with, judges the evidence with them, and writes them only when no check fails: one file for each name, as
attestation.collateralDir of a gateway takes them. Run it every day; a gateway reads its folder for each piece of evidence.

  --platform NAME     intel-tdx, intel-sgx, amd-sev-snp, google-confidential-space, nvidia-remote-attestation
  --out DIR           where to write; files of the same names are replaced
  --format FORMAT     how FILE is written: raw (default), hex, base64, evidence (with its collateral)
  --mirror URL        ask URL/HOST/PATH in place of https://HOST/PATH
  --as-of TIME        judge as of this time, for example 2026-11-21T12:00:00Z

exit code: 0 written, 1 the evidence fails with it and nothing is written, 64 wrong usage, 66 a file cannot be read,
69 a service does not answer, 73 not written

example:
  countersign collateral refresh quote.bin --platform intel-tdx --out collateral
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const [verb, ...rest] = args
  if (verb !== 'refresh')
    throw new UsageError('collateral takes: refresh FILE --platform NAME --out DIR')
  const { values, positionals } = parseCommandLine(rest, {
    platform: { type: 'string' },
    out: { type: 'string' },
    format: { type: 'string', default: 'raw' },
    mirror: { type: 'string' },
    'as-of': { type: 'string' },
  })
  const file = onlyPositional(positionals, 'FILE')
  const platform = platforms.find((known) => known === values.platform)
  if (platform === undefined) throw new UsageError(`--platform takes ${platforms.join(', ')}`)
  const folder = values.out
  if (folder === undefined) throw new UsageError('--out is missing')
  const mirror = values.mirror === undefined ? undefined : parseMirror(values.mirror)
  const asOf = values['as-of']
  const asOfMs = asOf === undefined ? context.nowMs() : parseUtcTime('--as-of', asOf)
  const evidence = await readEvidence(file, values.format, [])
  const requests = listCollateralRequests(platform, evidence)
  const pieces = await fetchCollateral(requests, mirror, context.interrupted)
  const collateral = new Map([...evidence.collateral, ...pieces])
  const appraisal = await appraise(platform, { raw: evidence.raw, collateral }, asOfMs)
  const { out } = context.terminal
  out.write(formatJudgement(appraisal, out))
  if (appraisal.verdict === 'invalid') return exitCodes.invalid
  await writeAll(folder, pieces)
  out.write(`${JSON.stringify({ written: [...pieces.keys()] })}\n`)
  return exitCodes.ok
}

async function appraise(
  platform: Platform,
  evidence: PlatformEvidence,
  asOfMs: number,
): Promise<Parameters<typeof formatJudgement>[0]> {
  const roots = new Set([...(vendorRoots.get(platform) ?? []), ...keysOf(evidence)])
  const appraisal = await appraisers[platform](evidence, { asOfMs, roots })
  const isBad = appraisal.checks.some(({ status }) => status === 'failed')
  const verdict = isBad ? ('invalid' as const) : ('incomplete' as const)
  return { ...appraisal, policy: '', policyDigest: '', verdict }
}

/**
 * The keys of a fetched set: which of them to believe is for policies to say, but one of them must have signed. Without
 * them nothing of a token would be judged.
 */
function keysOf({ collateral }: PlatformEvidence): readonly string[] {
  const keySet = collateral.get('key-set')
  if (keySet === undefined) return []
  try {
    return Array.from(parseKeySet(keySet).values(), ({ thumbprint }) => thumbprint)
  } catch (cause) {
    if (!(cause instanceof EvidenceError)) throw cause
    throw new ClientError('collateral-malformed', { detail: 'key-set', cause })
  }
}

/** Each file is whole at any time: a gateway may read while they are written. */
async function writeAll(folder: string, pieces: ReadonlyMap<string, Uint8Array>): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
    for (const [name, piece] of pieces) {
      const unfinished = join(folder, `.${name}.new`)
      await writeFileAs(unfinished, piece)
      await rename(unfinished, join(folder, name))
    }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    throw new ClientError('file-unwritable', { detail: folder, cause })
  }
}

function parseMirror(text: string): string {
  const url = URL.parse(text)
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.origin === text
  if (!isOrigin) throw new UsageError('--mirror takes an origin like https://mirror.example')
  return text
}
