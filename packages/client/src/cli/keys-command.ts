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
  help: `usage: countersign keys create --name NAME --budget ATOMIC [--data DIR | --database FILE]
       countersign keys list [--data DIR | --database FILE]
       countersign keys revoke ID [--data DIR | --database FILE]

API keys with budgets, for callers without a wallet. Works while the gateway runs. The secret of a new key is printed
once and kept nowhere; the database holds only its hash. Each line of output is one JSON object.

  --name NAME       who the key is for
  --budget ATOMIC   what may be charged to it in all, in atomic units (1000000 is 1 USDC)
  --data DIR        folder of the network, default ./.countersign
  --database FILE   database of another gateway: api-keys.db in its dataDir

exit code: 0 done, 1 no such key, 64 wrong usage, 69 the gateway's program failed

examples:
  countersign keys create --name alice --budget 1000000
  countersign keys list
  countersign keys revoke 4f1c9a
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    name: { type: 'string' },
    budget: { type: 'string' },
    data: { type: 'string' },
    database: { type: 'string' },
  })
  if (values.data !== undefined && values.database !== undefined) {
    throw new UsageError('--data and --database exclude each other')
  }
  const action = readAction(positionals, values.name, values.budget)
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

function readAction(
  positionals: readonly string[],
  name: string | undefined,
  budget: string | undefined,
): readonly string[] {
  const [verb, id, ...rest] = positionals
  if (rest.length > 0) throw new UsageError('too many arguments')
  if (verb === 'create' && id === undefined) {
    if (name === undefined || budget === undefined) {
      throw new UsageError('keys create takes --name NAME and --budget ATOMIC')
    }
    return ['create', `--name=${name}`, `--budget=${parseAtomic('--budget', budget)}`]
  }
  if (name !== undefined || budget !== undefined) {
    throw new UsageError('only keys create takes --name and --budget')
  }
  if (verb === 'list' && id === undefined) return ['list']
  if (verb === 'revoke' && id !== undefined) return ['revoke', id]
  throw new UsageError('keys takes create, list or revoke ID')
}
