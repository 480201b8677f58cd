/** `countersign doctor`: has the gateway's own program try all that its configuration names. */
import { parseCommandLine, UsageError, type Command, type CommandContext } from './command.ts'
import type { ExitCode } from './exit-codes.ts'
import { forwardToProgram } from './forward-to-program.ts'
import { withProgress } from './progress.ts'

const defaultFile = 'countersign.config.json'

/** The command. */
export const doctorCommand: Command = {
  help: `usage: countersign doctor [--config FILE] [--json]

Tries what a configuration names: data folder, prices, evidence, the collector of traces; each provider (name, port,
certificate, key, names of models, clock); the chain, its token and the settlement key. One line for each check, with
what to do about it. Needs the environment of the gateway (provider keys), and refuses the variables that the gateway
refuses. Costs nothing, starts nothing.

  --config FILE   default ${defaultFile}
  --json          {"ok", "checks": [{"check", "status", "message", "hint"}]}

exit code: 0 nothing failed (warnings may stand), 1 something failed, 64 wrong usage, 69 it could not be tried

example:
  countersign doctor --config /etc/countersign/countersign.config.json
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { positionals, values } = parseCommandLine(args, {
    config: { type: 'string' },
    json: { type: 'boolean' },
  })
  if (positionals.length > 0) throw new UsageError('doctor takes options only')
  const { config: file = defaultFile, json = false } = values
  const asked = [`--doctor=${file}`, ...(json ? ['--json'] : [])]
  return withProgress(context.terminal.err, 'trying', forwardToProgram('gateway', asked, context))
}
