/** What a command of the command line is, and how it reads its arguments. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import type { ExitCode } from './exit-codes.ts'
import type { Terminal } from './terminal.ts'

/** What a command may use of its process. */
export type CommandContext = {
  readonly terminal: Terminal
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly nowMs: () => number
  /** Fires at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal
}

/** One command. */
export type Command = {
  /** What `--help` prints, with examples. */
  readonly help: string
  readonly run: (args: readonly string[], context: CommandContext) => Promise<ExitCode>
}

/** A command line that cannot be used; the message says why. Exit code 64. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UsageError'
  }
}

const utcTime = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?Z$/

type Parsed<O extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; allowPositionals: true; tokens: true }>
>

/**
 * Parses strictly: unknown options, missing values and repeated options are refused.
 *
 * @throws UsageError
 */
export function parseCommandLine<const O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: O,
): Parsed<O> {
  const parsed = parse(args, options)
  const seen = new Set<string>()
  for (const token of parsed.tokens) {
    if (token.kind !== 'option') continue
    const isMultiple = Object.hasOwn(options, token.name) && options[token.name]?.multiple === true
    if (seen.has(token.name) && !isMultiple) throw new UsageError(`--${token.name} is given twice`)
    seen.add(token.name)
  }
  return parsed
}

/** The only positional argument. */
export function onlyPositional(positionals: readonly string[], what: string): string {
  const [first, ...rest] = positionals
  if (first === undefined) throw new UsageError(`${what} is missing`)
  if (rest.length > 0) throw new UsageError(`only one ${what} is taken`)
  return first
}

/** A time in UTC, milliseconds since the Unix epoch. */
export function parseUtcTime(option: string, text: string): number {
  const timeMs = utcTime.test(text) ? Date.parse(text) : Number.NaN
  // 31 February would be 3 March.
  const isDay =
    !Number.isNaN(timeMs) && text.startsWith(new Date(timeMs).toISOString().slice(0, 10))
  if (!isDay) {
    throw new UsageError(`${option} takes a time like 2026-11-21T12:00:00Z, not ${text}`)
  }
  return timeMs
}

/** A port number. */
export function parsePort(text: string): number {
  const port = /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : Number.NaN
  if (!(port <= 65_535)) throw new UsageError(`${text} is not a port`)
  return port
}

/** An amount in atomic units. */
export function parseAtomic(option: string, text: string): bigint {
  if (!/^(?:0|[1-9][0-9]{0,38})$/.test(text)) {
    throw new UsageError(`${option} takes a whole number of atomic units, not ${text}`)
  }
  return BigInt(text)
}

function parse<const O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: O,
): Parsed<O> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, tokens: true })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    // Node adds advice about positional arguments that helps nobody here.
    throw new UsageError(message.split('. ', 1)[0] ?? message, { cause })
  }
}
