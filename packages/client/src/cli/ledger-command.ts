/** `countersign ledger`: the payment ledger of a gateway that is stopped, by the gateway's own program. */
import { parseWord } from '@countersign/protocol/payment/evm-word'
import { parseCommandLine, UsageError, type Command, type CommandContext } from './command.ts'
import type { ExitCode } from './exit-codes.ts'
import { forwardToProgram } from './forward-to-program.ts'

const defaultFile = 'countersign.config.json'

/** The command. */
export const ledgerCommand: Command = {
  help: `usage: countersign ledger show [--config FILE]
       countersign ledger claim [--config FILE]
       countersign ledger reexamine CHANNEL [--config FILE]

The payment ledger of a gateway that is stopped: one process at a time owns it. Needs the environment of the gateway (its
keys) and, but for show, its chain. What the last process left unfinished is ended as by a start of the gateway. Each
line of output is one JSON object.

  show        channels, charges that are not settled, transactions under way, sums
  claim       claims all that was charged on channels, and waits for the chain: before a charge key retires
  reexamine   looks again at a channel that is frozen, and thaws it when chain and voucher are in order by now

  --config FILE   default ${defaultFile}

exit code: 0 done, 1 something is still owed or frozen, 64 wrong usage, 69 the gateway runs, or no chain

examples:
  countersign ledger show --config /etc/countersign/countersign.config.json
  countersign ledger reexamine 0x5c1e…
`,
  run,
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { positionals, values } = parseCommandLine(args, { config: { type: 'string' } })
  const [action, id, ...more] = positionals
  const isPlain = (action === 'show' || action === 'claim') && id === undefined
  const isReexamine = action === 'reexamine' && parseWord(id) !== undefined
  if (more.length > 0 || (!isPlain && !isReexamine)) {
    throw new UsageError('ledger takes one of: show, claim, reexamine CHANNEL')
  }
  return forwardToProgram(
    'ledger-admin',
    [`--config=${values.config ?? defaultFile}`, ...positionals],
    context,
  )
}
