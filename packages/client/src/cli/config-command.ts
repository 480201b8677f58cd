/** `countersign config check`: has the gateway's own parser judge a configuration file. */
import { parseCommandLine, UsageError, type Command, type CommandContext } from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { forwardToProgram } from './forward-to-program.ts'
import { withProgress } from './progress.ts'

/** The command. */
export const configCommand: Command = {
  help: `usage: countersign config check FILE

Has the gateway's own parser judge a configuration file. Prints its digest, which stands in every keyset, or every
fault. No secret is needed and nothing is started. A variable with which a gateway refuses to start (NODE_EXTRA_CA_CERTS,
SSLKEYLOGFILE, …) is a fault here too.

exit code: 0 usable, 1 not usable, 64 wrong usage

example:
  countersign config check countersign.config.json
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { positionals } = parseCommandLine(args, {})
  const [verb, file, ...rest] = positionals
  if (verb !== 'check' || file === undefined || rest.length > 0) {
    throw new UsageError('config takes: check FILE')
  }
  const check = forwardToProgram('gateway', [`--check-config=${file}`], context)
  const code = await withProgress(context.terminal.err, 'checking', check)
  return code === exitCodes.ok ? code : exitCodes.invalid
}
