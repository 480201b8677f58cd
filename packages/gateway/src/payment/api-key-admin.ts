/** Makes, lists, limits and revokes API keys, also while a gateway runs: `node api-key-admin.ts --database FILE COMMAND`. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseCallCount } from '../limits/payer-limits.ts'
import {
  openApiKeyStore,
  type ApiKeyEntry,
  type ApiKeyStore,
  type KeyLimitChanges,
} from './api-key-store.ts'
import { DatabaseFault, parseAmountAtomic } from './database.ts'

const usage = `usage: --database FILE create --name NAME --budget ATOMIC [LIMITS]
       --database FILE list
       --database FILE limit ID [--budget ATOMIC] [LIMITS]
       --database FILE revoke ID
LIMITS: --daily-budget ATOMIC (for each day, UTC) --calls-per-minute N --concurrent-calls N; each may be "none"
Each line of output is one JSON object. The secret of a new key is shown once and kept nowhere.`

/** Runs one command; the lines for standard output, or undefined for wrong usage. */
export function administerApiKeys(
  commandLine: readonly string[],
  nowMs: number,
): { readonly lines: readonly string[]; readonly exitCode: 0 | 1 } | undefined {
  const parsed = parseCommandLine(commandLine)
  if (parsed === undefined) return undefined
  const store = openApiKeyStore(parsed.database)
  try {
    return runCommand(store, parsed, nowMs)
  } finally {
    store.close()
  }
}

type Command =
  | {
      readonly kind: 'create'
      readonly name: string
      readonly budgetAtomic: bigint
      readonly limits: KeyLimitChanges
    }
  | { readonly kind: 'list' }
  | { readonly kind: 'limit'; readonly id: string; readonly limits: KeyLimitChanges }
  | { readonly kind: 'revoke'; readonly id: string }

const options = {
  database: { type: 'string' },
  name: { type: 'string' },
  budget: { type: 'string' },
  'daily-budget': { type: 'string' },
  'calls-per-minute': { type: 'string' },
  'concurrent-calls': { type: 'string' },
} as const

type Values = { readonly [name in keyof typeof options]?: string | undefined }

function parseCommandLine(
  commandLine: readonly string[],
): { readonly database: string; readonly command: Command } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...commandLine],
      options,
      allowPositionals: true,
    })
    const command = parseCommand(positionals, values)
    if (values.database === undefined || command === undefined) return undefined
    return { database: values.database, command }
  } catch {
    return undefined
  }
}

function parseCommand([verb, id, ...rest]: readonly string[], values: Values): Command | undefined {
  const limits = parseLimits(values)
  const isLimited = Object.keys(limits).length > 0
  if (rest.length > 0) return undefined
  if (verb === 'create') return id === undefined ? parseCreate(values, limits) : undefined
  if (verb === 'limit')
    return id !== undefined && isLimited ? { kind: 'limit', id, limits } : undefined
  if (isLimited) return undefined
  if (verb === 'list' && id === undefined) return { kind: 'list' }
  return verb === 'revoke' && id !== undefined ? { kind: 'revoke', id } : undefined
}

function parseCreate(
  { name }: Values,
  { budgetAtomic, ...limits }: KeyLimitChanges,
): Command | undefined {
  if (budgetAtomic === undefined) return undefined
  if (name === undefined || name === '' || name.length > 128) return undefined
  return { kind: 'create', name, budgetAtomic, limits }
}

/** Only what is given stands in the result. @throws RangeError for what is no limit. */
function parseLimits(values: Values): KeyLimitChanges {
  const budgetAtomic = parseOption(values.budget, parseAmountAtomic)
  const dailyBudgetAtomic = parseOption(values['daily-budget'], orNone(parseAmountAtomic))
  const callsPerMinute = parseOption(values['calls-per-minute'], orNone(parseCallCount))
  const concurrentCalls = parseOption(values['concurrent-calls'], orNone(parseCallCount))
  return {
    ...(budgetAtomic === undefined ? {} : { budgetAtomic }),
    ...(dailyBudgetAtomic === undefined ? {} : { dailyBudgetAtomic }),
    ...(callsPerMinute === undefined ? {} : { callsPerMinute }),
    ...(concurrentCalls === undefined ? {} : { concurrentCalls }),
  }
}

type Parser<T> = (text: string) => T | undefined

function parseOption<T>(text: string | undefined, parse: Parser<T>): T | undefined {
  if (text === undefined) return undefined
  const value = parse(text)
  if (value === undefined) throw new RangeError('an option is malformed')
  return value
}

function orNone<T>(parse: Parser<T>): Parser<T | 'none'> {
  return (text) => (text === 'none' ? 'none' : parse(text))
}

function runCommand(
  store: ApiKeyStore,
  { command }: { readonly command: Command },
  nowMs: number,
): { readonly lines: readonly string[]; readonly exitCode: 0 | 1 } {
  if (command.kind === 'list') {
    return { lines: store.list().map((entry) => JSON.stringify(toJson(entry))), exitCode: 0 }
  }
  if (command.kind === 'revoke') {
    const revoked = store.revoke(command.id, nowMs)
    return { lines: [JSON.stringify({ id: command.id, revoked })], exitCode: revoked ? 0 : 1 }
  }
  if (command.kind === 'limit') {
    const limited = store.limit(command.id, command.limits)
    const entry = store.findById(command.id)
    const line = entry === undefined ? { id: command.id, limited } : toJson(entry)
    return { lines: [JSON.stringify(line)], exitCode: limited ? 0 : 1 }
  }
  const { entry, secret } = store.create(command.name, command.budgetAtomic, nowMs)
  store.limit(entry.id, command.limits)
  const made = store.findById(entry.id) ?? entry
  return { lines: [JSON.stringify({ ...toJson(made), secret })], exitCode: 0 }
}

function toJson(entry: ApiKeyEntry): Record<string, string | number> {
  const { limits, today } = entry
  const { dailyBudgetAtomic, ...callLimits } = limits
  return {
    id: entry.id,
    name: entry.name,
    budgetAtomic: `${entry.budgetAtomic}`,
    chargedAtomic: `${entry.chargedAtomic}`,
    createdAt: new Date(entry.createdAtMs).toISOString(),
    state: entry.state,
    ...callLimits,
    ...(dailyBudgetAtomic === undefined ? {} : { dailyBudgetAtomic: `${dailyBudgetAtomic}` }),
    ...(today.day === 0
      ? {}
      : {
          lastDay: new Date(today.day * dayMs).toISOString().slice(0, 10),
          chargedThatDayAtomic: `${today.chargedAtomic}`,
        }),
  }
}

const dayMs = 86_400_000

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.slice(2))
}

function main(commandLine: readonly string[]): number {
  try {
    const result = administerApiKeys(commandLine, Date.now())
    if (result === undefined) process.stderr.write(`${usage}\n`)
    else process.stdout.write(result.lines.map((line) => `${line}\n`).join(''))
    return result?.exitCode ?? 64
  } catch (error) {
    if (!(error instanceof DatabaseFault)) throw error
    const reason = error.cause instanceof Error ? ` (${error.cause.message})` : ''
    process.stderr.write(`error database-unusable: ${error.message}${reason}\n`)
    return 69
  }
}
