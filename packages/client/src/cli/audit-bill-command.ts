/** `countersign audit-bill`: verifies receipts, recomputes each charge, and adds them up (spec/metering.md ME10). */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ProtocolError } from '@countersign/protocol'
import { encodePayload } from '@countersign/protocol/receipt/payload'
import { parseWord } from '@countersign/protocol/payment/evm-word'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  auditCalls,
  type Audit,
  type AuditedCall,
  type AuditFinding,
} from '@countersign/protocol/receipt/audit'
import { judgeBill } from '@countersign/protocol/receipt/bill'
import { openClaims } from '@countersign/protocol/receipt/claims'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { maxBundleBytes, parseBundle } from '@countersign/protocol/verify/bundle'
import { verify } from '@countersign/protocol/verify/verify'
import { createChainReader, type ChainReader } from '../chain/chain-reader.ts'
import { ClientError } from '../errors.ts'
import { channelContractsOn, readChannelOnChain } from '../pay/channel-contracts.ts'
import {
  parseCommandLine,
  parseUtcTime,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable } from './printable.ts'
import { withProgress } from './progress.ts'
import { readFileBounded } from './read-file-bounded.ts'
import type { Output } from './terminal.ts'
import { readPolicy } from './verify-command.ts'

/** The command. */
export const auditBillCommand: Command = {
  help: `usage: countersign audit-bill FILE|DIR... [options]

Judges bundles (of a folder: every *.countersign.json in it), recomputes what each call had to be charged from the rates
and the use that its receipt states, and adds the charges up by channel, network and asset. Finds payments that were
charged twice, charges of a channel that overlap, and statements that contradict one another.

  --policy NAME|FILE  default (accepts SIMULATED evidence), production (does not), or a policy file
  --rpc URL           compare with what the channels were claimed on this chain; can be given again
  --now TIME          judge as of this time, for example 2026-11-21T12:00:00Z
  --json              print one JSON object; amounts are decimal strings

exit code: 0 every charge is right, 1 something is wrong, 2 nothing is wrong but not everything could be judged,
64 wrong usage, 66 a file cannot be read, 69 the chain cannot be read

examples:
  countersign audit-bill receipts/
  countersign audit-bill a.countersign.json b.countersign.json --rpc http://127.0.0.1:8545 --json
`,
  run,
}

/** One file, judged. `code` says why it does not count, or why its bill is not settled. */
type JudgedFile = {
  readonly name: string
  readonly status: 'right' | 'wrong' | 'open'
  readonly code: string
  readonly call: AuditedCall | undefined
}

/** What the chain says of one channel. */
type ClaimedChannel = {
  readonly channelId: string
  readonly claimedAtomic: bigint
  /** More was claimed than the last receipt of the channel accounts for. */
  readonly isAbove: boolean
}

const maxFiles = 100_000
const provingChecks = [
  'keyset-signature',
  'keyset-binding',
  'keyset-validity',
  'signature',
  'claims',
  'evidence-accepted',
] as const
const suffix = '.countersign.json'

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    policy: { type: 'string', default: 'default' },
    rpc: { type: 'string', multiple: true, default: [] },
    now: { type: 'string' },
    json: { type: 'boolean', default: false },
  })
  if (positionals.length === 0) throw new UsageError('FILE is missing')
  for (const url of values.rpc) if (!URL.canParse(url)) throw new UsageError('--rpc takes a URL')
  const nowMs = values.now === undefined ? context.nowMs() : parseUtcTime('--now', values.now)
  const policy = await readPolicy(values.policy, undefined)
  const names = await listFiles(positionals)
  const { out, err } = context.terminal
  const files: JudgedFile[] = []
  for (const name of names) {
    files.push(
      await withProgress(err, `verifying ${toPrintable(name)}`, judgeFile(name, policy, nowMs)),
    )
  }
  const audit = auditCalls(files.flatMap(({ call }) => (call === undefined ? [] : [call])))
  const claimed = await readClaimed(audit, values.rpc)
  const verdict = conclude(files, audit, claimed)
  out.write(
    values.json
      ? `${toJson({ verdict, files: files.map(describeFile), audit, claimed })}\n`
      : formatAudit(verdict, files, audit, claimed, out),
  )
  return { right: exitCodes.ok, wrong: exitCodes.invalid, incomplete: exitCodes.incomplete }[
    verdict
  ]
}

function describeFile({ name, status, code }: JudgedFile): Omit<JudgedFile, 'call'> {
  return { name, status, code }
}

async function listFiles(paths: readonly string[]): Promise<readonly string[]> {
  const lists = await Promise.all(paths.map(listPath))
  const files = [...new Set(lists.flat())]
  if (files.length === 0) throw new ClientError('file-unreadable', { detail: `no *${suffix}` })
  if (files.length > maxFiles) throw new UsageError(`more than ${maxFiles} files`)
  return files
}

async function listPath(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const names = await readdir(path)
    return names
      .filter((name) => name.endsWith(suffix))
      .toSorted()
      .map((name) => join(path, name))
  } catch (cause) {
    throw new ClientError('file-unreadable', { detail: path, cause })
  }
}

async function judgeFile(name: string, policy: Uint8Array, nowMs: number): Promise<JudgedFile> {
  const bytes = await readFileBounded(name, maxBundleBytes)
  const { verdict, checks } = await verify(bytes, policy, nowMs, {})
  if (verdict === 'invalid') {
    const failed = checks.find(({ status }) => status === 'failed')
    const code = failed?.status === 'failed' ? failed.code : 'invalid'
    return { name, status: 'wrong', code, call: undefined }
  }
  // Incomplete is what a bundle with withheld claims may be; one without a signature that holds is not.
  if (verdict === 'incomplete' && !isSigned(checks)) {
    return { name, status: 'open', code: 'not-proven', call: undefined }
  }
  return judgeBundle(name, bytes)
}

function isSigned(checks: Awaited<ReturnType<typeof verify>>['checks']): boolean {
  return provingChecks.every((id) =>
    checks.some((check) => check.id === id && check.status === 'passed'),
  )
}

function judgeBundle(name: string, bytes: Uint8Array): JudgedFile {
  try {
    const { statement, claims } = parseBundle(bytes)
    const { payload } = parseStatement(statement)
    if (payload.type === 'keyset') return { name, status: 'open', code: 'no-call', call: undefined }
    const isWhole = claims.every(({ kind }) => kind === 'claim')
    const bill =
      payload.type === 'refusal'
        ? ({ kind: 'fixed', priceAtomic: 0n } as const)
        : judgeBill(payload.charge, openClaims(claims, payload), isWhole)
    const call = { name, payload, bill, digest: sha256(encodePayload(payload)) }
    if (bill.kind === 'wrong') return { name, status: 'wrong', code: bill.code, call }
    if (bill.kind === 'open') return { name, status: 'open', code: bill.reason, call }
    return { name, status: 'right', code: '', call }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { name, status: 'wrong', code: error.code, call: undefined }
  }
}

/** K of each channel, from the chain that it is on. */
async function readClaimed(
  { totals }: Audit,
  rpcUrls: readonly string[],
): Promise<readonly ClaimedChannel[]> {
  const readers = new Map<string, ChainReader>(
    await Promise.all(
      rpcUrls.map(async (url) => {
        const reader = createChainReader(url)
        return [`eip155:${await reader.chainId()}`, reader] as const
      }),
    ),
  )
  const channels = totals.filter(({ channelId }) => channelId !== '')
  const read = channels.map(async ({ network, channelId, cumulativeAtomic }) => {
    const reader = readers.get(network)
    const id = parseWord(`0x${channelId}`)
    if (reader === undefined || id === undefined) return []
    const view = await readChannelOnChain(reader, channelContractsOn(network), id)
    const { claimedAtomic } = view
    return [{ channelId, claimedAtomic, isAbove: claimedAtomic > cumulativeAtomic }]
  })
  return (await Promise.all(read)).flat()
}

function conclude(
  files: readonly JudgedFile[],
  { findings, totals }: Audit,
  claimed: readonly ClaimedChannel[],
): 'right' | 'wrong' | 'incomplete' {
  if (findings.length > 0 || files.some(({ status }) => status === 'wrong')) return 'wrong'
  // A claim above the last receipt may be of calls whose receipts are not here.
  const isOpen =
    files.some(({ status }) => status === 'open') ||
    totals.some(({ missingAtomic }) => missingAtomic > 0n) ||
    claimed.some(({ isAbove }) => isAbove)
  return isOpen ? 'incomplete' : 'right'
}

function formatAudit(
  verdict: string,
  files: readonly JudgedFile[],
  audit: Audit,
  claimed: readonly ClaimedChannel[],
  out: Output,
): string {
  const rows = files
    .filter(({ status }) => status !== 'right')
    .map(({ name, status, code }) => {
      const shown = out.style(status === 'wrong' ? 'red' : 'yellow', status)
      return `${shown} ${toPrintable(name)}: ${code}\n`
    })
  const totals = audit.totals.map((total) => {
    const place = [total.scheme, total.network, total.asset].filter((text) => text !== '')
    const channel = total.channelId === '' ? '' : `\n  channel 0x${total.channelId}`
    const missing =
      total.missingAtomic === 0n
        ? ''
        : `, ${total.missingAtomic} more by receipts that are not here`
    const sum = `${total.chargedAtomic} atomic units in ${total.calls} calls${missing}`
    return `${toPrintable(place.join(' '))}${channel}\n  charged ${sum}\n`
  })
  const claims = claimed.map(({ channelId, claimedAtomic, isAbove }) => {
    const note = isAbove ? out.style('yellow', ', more than these receipts account for') : ''
    return `claimed on chain from 0x${channelId}: ${claimedAtomic}${note}\n`
  })
  const notes =
    (audit.repeated === 0 ? '' : `${audit.repeated} statements came more than once\n`) +
    (audit.holes === 0
      ? ''
      : `not here: ${audit.holes} other statements of these keysets (those of other callers, too, have a number)\n`)
  const shown = out.style(verdict === 'right' ? 'green' : 'bold', verdict)
  const head = `${shown}: calls ${audit.calls}, files ${files.length}\n`
  return [head, ...rows, ...audit.findings.map(formatFinding), ...totals, ...claims, notes].join('')
}

function formatFinding({ code, names }: AuditFinding): string {
  return `wrong ${code}: ${names.map(toPrintable).join(', ')}\n`
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'bigint' ? `${member}` : member,
  )
}
