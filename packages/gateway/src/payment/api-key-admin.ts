/** Makes, lists and revokes API keys, also while a gateway runs: `node api-key-admin.ts --database FILE COMMAND`. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openApiKeyStore, type ApiKeyEntry, type ApiKeyStore } from './api-key-store.ts'
import { parseAmountAtomic } from './database.ts'

const usage = `usage: --database FILE create --name NAME --budget ATOMIC
       --database FILE list
       --database FILE revoke ID
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
  | { readonly kind: 'create'; readonly name: string; readonly budgetAtomic: bigint }
  | { readonly kind: 'list' }
  | { readonly kind: 'revoke'; readonly id: string }

function parseCommandLine(
  commandLine: readonly string[],
): { readonly database: string; readonly command: Command } | undefined {
  const options = {
    database: { type: 'string' },
    name: { type: 'string' },
    budget: { type: 'string' },
  } as const
  try {
    const { values, positionals } = parseArgs({
      args: [...commandLine],
      options,
      allowPositionals: true,
    })
    const command = parseCommand(positionals, values.name, values.budget)
    if (values.database === undefined || command === undefined) return undefined
    return { database: values.database, command }
  } catch {
    return undefined
  }
}

function parseCommand(
  positionals: readonly string[],
  name: string | undefined,
  budget: string | undefined,
): Command | undefined {
  const [verb, id, ...rest] = positionals
  if (rest.length > 0) return undefined
  if (verb === 'list' && id === undefined) return { kind: 'list' }
  if (verb === 'revoke' && id !== undefined) return { kind: 'revoke', id }
  const budgetAtomic = budget === undefined ? undefined : parseAmountAtomic(budget)
  if (verb !== 'create' || id !== undefined || budgetAtomic === undefined) return undefined
  if (name === undefined || name === '' || name.length > 128) return undefined
  return { kind: 'create', name, budgetAtomic }
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
  const { entry, secret } = store.create(command.name, command.budgetAtomic, nowMs)
  return { lines: [JSON.stringify({ ...toJson(entry), secret })], exitCode: 0 }
}

function toJson(entry: ApiKeyEntry): Record<string, string> {
  return {
    id: entry.id,
    name: entry.name,
    budgetAtomic: `${entry.budgetAtomic}`,
    chargedAtomic: `${entry.chargedAtomic}`,
    createdAt: new Date(entry.createdAtMs).toISOString(),
    state: entry.state,
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = administerApiKeys(process.argv.slice(2), Date.now())
  if (result === undefined) process.stderr.write(`${usage}\n`)
  else process.stdout.write(result.lines.map((line) => `${line}\n`).join(''))
  process.exitCode = result?.exitCode ?? 64
}
