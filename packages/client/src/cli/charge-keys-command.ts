/** `countersign charge-keys`: the keys that sign the charges of a gateway, from the making of one to its end. */
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { addKey, dropKey, readKeyAddresses } from '../charge-key/key-file.ts'
import {
  maxLifeSeconds,
  planExecute,
  planRevoke,
  planSchedule,
  toUtc,
  type KeyInterval,
  type PlannedCall,
} from '../charge-key/key-calls.ts'
import { readOverview, type KeyLine } from '../charge-key/key-overview.ts'
import { findNamingKeyset } from '../charge-key/naming-keyset.ts'
import { openRegistry, type OperatorRegistry } from '../charge-key/operator-registry.ts'
import {
  parseCommandLine,
  parseUtcTime,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { readFileBounded } from './read-file-bounded.ts'
import { operatorKeyVariable, sendPlanned } from './send-planned.ts'

/** The command. */
export const chargeKeysCommand: Command = {
  help: `usage: countersign charge-keys make --file FILE [--json]
       countersign charge-keys drop ADDRESS --file FILE [--json]
       countersign charge-keys show [ADDRESS] --terms FILE --rpc URL [--file FILE] [--longest-call SECONDS] [--json]
       countersign charge-keys schedule ADDRESS --terms FILE --rpc URL --gateway URL [--from TIME] [--until TIME] SIGNER
       countersign charge-keys execute ADDRESS --terms FILE --rpc URL SIGNER
       countersign charge-keys revoke ADDRESS --terms FILE --rpc URL [--since TIME] SIGNER

The keys that sign what a gateway charges. A key counts for a day at most, and only while the operator's registry says
so: each day somebody makes the next one, has the gateway name it (reload), announces it in the timelock, and registers it
when the delay is over. docs/guides/charge-keys.md goes through a day.

  make       adds a new key to the gateway's file (payment.chargeKeysFile) and prints its address; the key itself is
             printed nowhere
  drop       takes a key out of that file, for ever: one that has ended, and settles no more
  show       each key: what it may do now, and from when to when
  schedule   announces a key in the timelock. Refused unless the current keyset of the gateway names the key
  execute    registers a key whose delay is over. Anybody may
  revoke     by the guardian: nothing that the key signs counts from a moment on

  --file FILE             the keys, one a line; mode 600
  --terms FILE            what GET /v1/terms of the gateway answers; compare it with your own configuration once
  --rpc URL               a node of the chain
  --gateway URL           the gateway that is to use the key
  --from, --until TIME    when the key counts, as 2026-11-21T12:00:00Z; default: from the end of the delay, for a day
  --since TIME            default: now. What was signed before stays good: for a stolen key take an earlier time
  --longest-call SECONDS  longest limits.totalTimeoutMs of the gateway: a good key outlives it; default 3600
  --json                  one JSON object

SIGNER, who sends the transaction and pays its gas (a proposer, for revoke the guardian):
  --keystore FILE         an encrypted key file, with --password-file FILE as for countersign wallet
  --calls                 sends nothing: prints the transaction as JSON, for a multisig
  without either          the key in the environment variable ${operatorKeyVariable}

exit code: 0 done, 1 it cannot be done with this key (the message says why), 64 wrong usage, 66 a file cannot be read,
69 refused or no chain, 73 a file cannot be written

examples:
  countersign charge-keys make --file charge-keys
  countersign charge-keys show --terms terms.json --rpc http://127.0.0.1:8545 --file charge-keys
  countersign charge-keys schedule 0x9fE4… --terms terms.json --rpc http://127.0.0.1:8545 \\
    --gateway https://gateway.example --keystore operator.json
`,
  run,
}

const options = {
  file: { type: 'string' },
  terms: { type: 'string' },
  rpc: { type: 'string' },
  gateway: { type: 'string' },
  from: { type: 'string' },
  until: { type: 'string' },
  since: { type: 'string' },
  'longest-call': { type: 'string' },
  keystore: { type: 'string' },
  'password-file': { type: 'string' },
  calls: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const

type Values = {
  readonly [K in keyof typeof options]?:
    | ((typeof options)[K]['type'] extends 'boolean' ? boolean : string)
    | undefined
}

const chain = ['terms', 'rpc']
const signer = ['keystore', 'password-file', 'calls', 'json']
const optionsOf: ReadonlyMap<string, readonly string[]> = new Map([
  ['make', ['file', 'json']],
  ['drop', ['file', 'json']],
  ['show', [...chain, 'file', 'longest-call', 'json']],
  ['schedule', [...chain, ...signer, 'gateway', 'from', 'until']],
  ['execute', [...chain, ...signer]],
  ['revoke', [...chain, ...signer, 'since']],
])

const maxTermsBytes = 4096
const defaultLongestCallSeconds = 3600

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals, tokens } = parseCommandLine(args, options)
  const [action = '', text, ...more] = positionals
  const allowed = optionsOf.get(action)
  if (allowed === undefined || more.length > 0) {
    throw new UsageError(
      'charge-keys takes one of: make, drop ADDRESS, show [ADDRESS], schedule ADDRESS, execute ADDRESS, revoke ADDRESS',
    )
  }
  for (const token of tokens) {
    if (token.kind === 'option' && !allowed.includes(token.name)) {
      throw new UsageError(`charge-keys ${action} takes no --${token.name}`)
    }
  }
  const address = parseAddress(text)
  if (text !== undefined && (address === undefined || action === 'make')) {
    throw new UsageError(action === 'make' ? 'make takes no address' : 'ADDRESS is no address')
  }
  if (action === 'make') return make(needed(values, 'file'), values, context)
  if (action === 'show') return show(address, values, context)
  if (address === undefined) throw new UsageError(`charge-keys ${action} takes an ADDRESS`)
  if (action === 'drop') return drop(address, needed(values, 'file'), values, context)
  return change(action, address, values, context)
}

function needed(values: Values, name: 'file' | 'terms' | 'rpc' | 'gateway'): string {
  const value = values[name]
  if (value === undefined) throw new UsageError(`--${name} is missing`)
  if ((name === 'rpc' || name === 'gateway') && !URL.canParse(value)) {
    throw new UsageError(`--${name} takes a URL`)
  }
  return value
}

async function make(file: string, values: Values, context: CommandContext): Promise<ExitCode> {
  const address = await addKey(file)
  const keys = await readKeyAddresses(file)
  tell(context, values, { address, file, keys }, `${address}\n`)
  return exitCodes.ok
}

async function drop(
  address: Hex,
  file: string,
  values: Values,
  context: CommandContext,
): Promise<ExitCode> {
  await dropKey(file, address)
  const keys = await readKeyAddresses(file)
  tell(context, values, { dropped: address, file, keys }, `${address} is gone from ${file}\n`)
  return exitCodes.ok
}

async function show(
  address: Hex | undefined,
  values: Values,
  context: CommandContext,
): Promise<ExitCode> {
  const longestCallMs = 1000 * readSeconds(values['longest-call'])
  const { file } = values
  const registry = await open(values)
  const inFile = file === undefined ? undefined : await readKeyAddresses(file)
  const asked = { addresses: address === undefined ? [] : [address], inFile }
  const all = await readOverview(registry, asked, context.nowMs(), longestCallMs)
  const lines = address === undefined ? all : all.filter((line) => line.address === address)
  const text = lines.length === 0 ? 'no key\n' : lines.map(toText).join('')
  tell(context, values, { keys: lines.map(toJson) }, text)
  return exitCodes.ok
}

/** Sends one transaction, or prints it. */
async function change(
  action: string,
  address: Hex,
  values: Values,
  context: CommandContext,
): Promise<ExitCode> {
  const { calls = false, keystore } = values
  if (calls && keystore !== undefined)
    throw new UsageError('--calls and --keystore exclude each other')
  const nowMs = context.nowMs()
  const registry = await open(values)
  const planned = await plan(action, address, { registry, values, nowMs })
  const sent = await sendPlanned(registry, planned, values, context)
  const said = { action, address, ...sent }
  tell(
    context,
    { ...values, json: calls || values.json },
    said,
    `${action} ${address}: ${sent.hash ?? ''}\n`,
  )
  return exitCodes.ok
}

async function plan(
  action: string,
  address: Hex,
  given: { readonly registry: OperatorRegistry; readonly values: Values; readonly nowMs: number },
): Promise<PlannedCall> {
  const { registry, values, nowMs } = given
  if (action === 'execute') return planExecute(registry, address, nowMs)
  if (action === 'revoke') {
    const sinceMs = values.since === undefined ? nowMs : parseUtcTime('--since', values.since)
    // At least the first second: 0 is not revoked.
    return planRevoke(registry, address, Math.max(1, Math.floor(sinceMs / 1000)))
  }
  const gateway = needed(values, 'gateway')
  const interval = readInterval(values, nowMs / 1000 + registry.terms.minDelaySeconds, nowMs)
  const digest = await findNamingKeyset(gateway, address, registry.document, nowMs)
  return planSchedule(registry, address, interval, digest)
}

/** By default from the end of the delay on, for a day. */
function readInterval({ from, until }: Values, dueSeconds: number, nowMs: number): KeyInterval {
  const validFromSeconds = Math.floor(
    from === undefined ? dueSeconds : parseUtcTime('--from', from) / 1000,
  )
  const validUntilSeconds =
    until === undefined
      ? validFromSeconds + maxLifeSeconds
      : Math.floor(parseUtcTime('--until', until) / 1000)
  const lifeSeconds = validUntilSeconds - validFromSeconds
  if (lifeSeconds <= 0 || lifeSeconds > maxLifeSeconds) {
    throw new UsageError('a key counts for at most a day: look at --from and --until')
  }
  if (validUntilSeconds <= Math.max(dueSeconds, nowMs / 1000)) {
    throw new UsageError('the key would end before it can be registered: look at --until')
  }
  return { validFromSeconds, validUntilSeconds }
}

async function open(values: Values): Promise<OperatorRegistry> {
  const terms = needed(values, 'terms')
  const rpc = needed(values, 'rpc')
  return openRegistry(await readFileBounded(terms, maxTermsBytes), rpc)
}

function readSeconds(text: string | undefined): number {
  if (text === undefined) return defaultLongestCallSeconds
  if (!/^(?:0|[1-9][0-9]{0,5})$/.test(text)) {
    throw new UsageError(`--longest-call takes seconds, not ${text}`)
  }
  return Number(text)
}

function tell({ terminal }: CommandContext, { json }: Values, value: object, text: string): void {
  terminal.out.write(json === true ? `${JSON.stringify(value)}\n` : text)
}

function toJson(line: KeyLine): object {
  const { address, inFile, state } = line
  const [mayDo, why] = state.split(': ')
  return { address, inFile, mayDo, why, ...timesOf(line) }
}

function toText(line: KeyLine): string {
  const { address, inFile, state } = line
  const times = Object.entries(timesOf(line)).flatMap(([name, time]) =>
    time === undefined ? [] : [`  ${name.padEnd(14)}${time}\n`],
  )
  const place = inFile === undefined ? '' : inFile ? ', in the file' : ', not in the file'
  return `${address}  ${state}${place}\n${times.join('')}`
}

function timesOf(line: KeyLine): Readonly<Record<string, string | undefined>> {
  return {
    due: toTime(line.readyAtSeconds),
    trustedFrom: toTime(line.trustedFromSeconds),
    trustedUntil: toTime(line.trustedUntilSeconds),
    settlesUntil: toTime(line.settlesUntilSeconds),
    revokedFrom: toTime(line.revokedAtSeconds),
  }
}

function toTime(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : toUtc(seconds)
}
