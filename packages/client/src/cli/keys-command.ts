/** `countersign keys`: API keys of a gateway, by the gateway's own program. */
import { join } from 'node:path'
import { gatewayFolder } from '../network/start-network.ts'
import {
  parseAtomic,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { commandName } from './command-name.ts'
import type { ExitCode } from './exit-codes.ts'
import { forwardToProgram } from './forward-to-program.ts'

/** The command. */
export const keysCommand: Command = {
  help: `usage: countersign keys create --name NAME --budget ATOMIC [LIMITS] [--data DIR | --database FILE]
       countersign keys list [--data DIR | --database FILE]
       countersign keys limit ID [--budget ATOMIC] [LIMITS] [--data DIR | --database FILE]
       countersign keys revoke ID [--data DIR | --database FILE]

API keys with budgets, for callers without a wallet. Works while the gateway runs. The secret of a new key is printed
once and kept nowhere; the database holds only its hash. Each line of output is one JSON object.

  --name NAME       who the key is for
  --budget ATOMIC   what may be charged to it in all, in atomic units (1000000 is 1 USDC)

LIMITS, each a number or "none":
  --daily-budget ATOMIC  what may be charged to it on one day, UTC
  --calls-per-minute N   in place of the gateway's own limits.perPayer
  --concurrent-calls N   likewise

  --data DIR        folder of the network, default ./.countersign
  --database FILE   database of another gateway: api-keys.db in its dataDir

exit code: 0 done, 1 no such key, 64 wrong usage, 69 the gateway's program failed

examples:
  countersign keys create --name alice --budget 1000000
  countersign keys list
  countersign keys limit 4f1c9a --daily-budget 50000 --calls-per-minute 60
  countersign keys revoke 4f1c9a
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    name: { type: 'string' },
    budget: { type: 'string' },
    'daily-budget': { type: 'string' },
    'calls-per-minute': { type: 'string' },
    'concurrent-calls': { type: 'string' },
    data: { type: 'string' },
    database: { type: 'string' },
  })
  if (values.data !== undefined && values.database !== undefined) {
    throw new UsageError('--data and --database exclude each other')
  }
  const action = readAction(positionals, values)
  const database =
    values.database ?? join(values.data ?? '.countersign', gatewayFolder, 'api-keys.db')
  const code = await forwardToProgram('api-key-admin', ['--database', database, ...action], context)
  if (positionals[0] === 'create' && code === 0) {
    const { err } = context.terminal
    err.write(
      err.style(
        'dim',
        `The secret is shown once. Use it as the apiKey of any OpenAI client;\n${commandName} keys list shows what was charged.\n`,
      ),
    )
  }
  return code
}

type Values = {
  readonly name?: string | undefined
  readonly budget?: string | undefined
  readonly 'daily-budget'?: string | undefined
  readonly 'calls-per-minute'?: string | undefined
  readonly 'concurrent-calls'?: string | undefined
}

function readAction([verb, id, ...rest]: readonly string[], values: Values): readonly string[] {
  if (rest.length > 0) throw new UsageError('too many arguments')
  if (verb === 'create' && id === undefined) return readCreate(values)
  if (values.name !== undefined) throw new UsageError('only keys create takes --name')
  const changes = [...readBudget(values), ...readLimits(values)]
  if (verb === 'limit' && id !== undefined) {
    if (changes.length === 0) throw new UsageError('keys limit takes what to limit')
    return ['limit', id, ...changes]
  }
  if (changes.length > 0) {
    throw new UsageError('only keys create and keys limit take --budget and limits')
  }
  if (verb === 'list' && id === undefined) return ['list']
  if (verb === 'revoke' && id !== undefined) return ['revoke', id]
  throw new UsageError('keys takes create, list, limit ID or revoke ID')
}

function readCreate(values: Values): readonly string[] {
  const { name, budget } = values
  if (name === undefined || budget === undefined) {
    throw new UsageError('keys create takes --name NAME and --budget ATOMIC')
  }
  return ['create', `--name=${name}`, ...readBudget(values), ...readLimits(values)]
}

function readBudget({ budget }: Values): readonly string[] {
  return budget === undefined ? [] : [`--budget=${parseAtomic('--budget', budget)}`]
}

function readLimits(values: Values): readonly string[] {
  const limits: string[] = []
  const daily = values['daily-budget']
  if (daily !== undefined) {
    const amount = daily === 'none' ? daily : parseAtomic('--daily-budget', daily)
    limits.push(`--daily-budget=${amount}`)
  }
  for (const name of ['calls-per-minute', 'concurrent-calls'] as const) {
    const value = values[name]
    if (value === undefined) continue
    if (value !== 'none' && !/^[1-9][0-9]{0,5}$/.test(value)) {
      throw new UsageError(`--${name} takes a whole number from 1 to 999999, or none`)
    }
    limits.push(`--${name}=${value}`)
  }
  return limits
}
