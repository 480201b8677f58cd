/** Finds the command, and turns what went wrong into a sentence and an exit code. */
import { createRequire } from 'node:module'
import { ClientError, type ClientErrorCode } from '../errors.ts'
import { UsageError, type Command, type CommandContext } from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintableText } from './printable.ts'
import type { Terminal } from './terminal.ts'

type CommandEntry = { readonly name: string; readonly summary: string; load(): Promise<Command> }

// Loaded when it is asked for: judging a receipt needs no wallet.
const commands: readonly CommandEntry[] = [
  {
    name: 'up',
    summary: 'run a whole loopback network: chain, facilitator, gateway',
    load: async () => (await import('./up-command.ts')).upCommand,
  },
  {
    name: 'call',
    summary: 'make one paid call and keep its receipt',
    load: async () => (await import('./call-command.ts')).callCommand,
  },
  {
    name: 'verify',
    summary: 'judge a receipt, offline',
    load: async () => (await import('./verify-command.ts')).verifyCommand,
  },
  {
    name: 'inspect',
    summary: 'show what a receipt says, without judging it',
    load: async () => (await import('./inspect-command.ts')).inspectCommand,
  },
  {
    name: 'audit-bill',
    summary: 'recompute the charges of receipts, and add them up',
    load: async () => (await import('./audit-bill-command.ts')).auditBillCommand,
  },
  {
    name: 'attest',
    summary: 'judge evidence of hardware, offline',
    load: async () => (await import('./attest-command.ts')).attestCommand,
  },
  {
    name: 'collateral',
    summary: 'fetch what evidence of hardware is judged with',
    load: async () => (await import('./collateral-command.ts')).collateralCommand,
  },
  {
    name: 'policy',
    summary: 'sign a policy for evidence of hardware, or show one',
    load: async () => (await import('./policy-command.ts')).policyCommand,
  },
  {
    name: 'registry',
    summary: 'list attested gateways to clients of OpenGradient',
    load: async () => (await import('./registry-command.ts')).registryCommand,
  },
  {
    name: 'keys',
    summary: 'create, list and revoke API keys of a gateway',
    load: async () => (await import('./keys-command.ts')).keysCommand,
  },
  {
    name: 'wallet',
    summary: 'make an encrypted key file, show its address and balance',
    load: async () => (await import('./wallet-command.ts')).walletCommand,
  },
  {
    name: 'channel',
    summary: 'list payment channels, top them up, withdraw from them',
    load: async () => (await import('./channel-command.ts')).channelCommand,
  },
  {
    name: 'payee',
    summary: 'bring what was claimed from channels to its payee',
    load: async () => (await import('./payee-command.ts')).payeeCommand,
  },
  {
    name: 'charge-keys',
    summary: 'make, register and revoke the keys that sign charges',
    load: async () => (await import('./charge-keys-command.ts')).chargeKeysCommand,
  },
  {
    name: 'ledger',
    summary: 'show the channels of a stopped gateway, claim, thaw',
    load: async () => (await import('./ledger-command.ts')).ledgerCommand,
  },
  {
    name: 'config',
    summary: 'check the configuration file of a gateway',
    load: async () => (await import('./config-command.ts')).configCommand,
  },
  {
    name: 'doctor',
    summary: 'try all that a gateway needs, and say what is wrong',
    load: async () => (await import('./doctor-command.ts')).doctorCommand,
  },
]

const codeOfError: ReadonlyMap<ClientErrorCode, ExitCode> = new Map([
  ['charge-key-refused', exitCodes.invalid],
  ['collateral-malformed', exitCodes.invalid],
  ['collateral-unsupported', exitCodes.usage],
  ['file-unreadable', exitCodes.noInput],
  ['file-unwritable', exitCodes.cannotCreate],
  ['options-invalid', exitCodes.usage],
])

/** Runs one command line; never throws. */
export async function runCli(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { terminal } = context
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    return showHelp(rest[0], name, terminal)
  }
  if (name === '--version') {
    terminal.out.write(`countersign ${readVersion()}\n`)
    return exitCodes.ok
  }
  const command = commands.find((known) => known.name === name)
  if (command === undefined) {
    return refuseUsage(
      `there is no command ${JSON.stringify(name)}`,
      'countersign --help',
      terminal,
    )
  }
  if (rest.includes('--help') || rest.includes('-h')) return showHelp(name, name, terminal)
  try {
    const { run } = await command.load()
    return await run(rest, context)
  } catch (error) {
    if (context.interrupted.aborted && !(error instanceof ClientError)) return exitCodes.interrupted
    return explain(error, name, terminal)
  }
}

function explain(error: unknown, name: string, terminal: Terminal): ExitCode {
  const { err } = terminal
  if (error instanceof UsageError) {
    return refuseUsage(error.message, `countersign ${name} --help`, terminal)
  }
  if (error instanceof ClientError) {
    // Its detail can hold what a gateway or a node said.
    err.write(`${err.style('red', 'error')} ${toPrintableText(error.message)}\n`)
    return codeOfError.get(error.code) ?? exitCodes.unavailable
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  err.write(`${err.style('red', 'internal error')} ${toPrintableText(text)}\n`)
  return exitCodes.internal
}

function refuseUsage(message: string, help: string, { err }: Terminal): ExitCode {
  err.write(`${err.style('red', 'usage')} ${toPrintableText(message)}\ntry: ${help}\n`)
  return exitCodes.usage
}

async function showHelp(
  topic: string | undefined,
  asked: string | undefined,
  terminal: Terminal,
): Promise<ExitCode> {
  const command = commands.find(({ name }) => name === topic)
  if (command !== undefined) {
    terminal.out.write((await command.load()).help)
    return exitCodes.ok
  }
  const { out, err } = terminal
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(13)}${summary}`).join('\n')
  const text = `usage: countersign COMMAND [options]

${list}

  countersign COMMAND --help   options and examples of a command
  countersign --version

colours: only on a terminal, and never with NO_COLOR set
`
  if (asked === undefined) {
    err.write(text)
    return exitCodes.usage
  }
  out.write(text)
  return exitCodes.ok
}

function readVersion(): string {
  // The same relative path from src/cli and from dist/cli.
  const description: unknown = createRequire(import.meta.url)('../../package.json')
  const hasVersion =
    typeof description === 'object' && description !== null && 'version' in description
  return hasVersion ? String(description.version) : 'unknown'
}
