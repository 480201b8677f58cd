/** `countersign inspect`: shows what a bundle says, believing none of it. */
import { describeError, ProtocolError } from '@countersign/protocol'
import { maxBundleBytes, parseBundle } from '@countersign/protocol/verify/bundle'
import { onlyPositional, parseCommandLine, type Command, type CommandContext } from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable } from './printable.ts'
import { readFileBounded } from './read-file-bounded.ts'
import { toReadableBundle, type Readable } from './readable-bundle.ts'
import type { Output } from './terminal.ts'

/** The command. */
export const inspectCommand: Command = {
  help: `usage: countersign inspect FILE [--json]

Shows everything in a bundle (*.countersign.json) in readable form. NOTHING IS VERIFIED: a forged bundle looks the
same. Use countersign verify to have it judged.

  --json   print one JSON object

exit code: 0 shown, 1 not a bundle, 64 wrong usage, 66 the file cannot be read

examples:
  countersign inspect answer.countersign.json
  countersign inspect answer.countersign.json --json
`,
  run,
}

const warning = 'NOTHING HERE IS VERIFIED; countersign verify judges it'

async function run(args: readonly string[], { terminal }: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    json: { type: 'boolean', default: false },
  })
  const bytes = await readFileBounded(onlyPositional(positionals, 'FILE'), maxBundleBytes)
  const { out, err } = terminal
  try {
    const bundle = toReadableBundle(parseBundle(bytes))
    out.write(
      values.json
        ? `${JSON.stringify({ verified: false, ...bundle })}\n`
        : `${out.style('alarm', warning)}\n${formatReadable(bundle, out)}`,
    )
    return exitCodes.ok
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    err.write(`${err.style('red', 'not a bundle')}: ${describeError(error)}\n`)
    return exitCodes.invalid
  }
}

function formatReadable(value: { readonly [name: string]: Readable }, out: Output): string {
  let text = ''
  for (const [name, part] of Object.entries(value)) {
    text += `\n${out.style('bold', name)}${formatPart(part, '  ', out)}\n`
  }
  return text
}

function formatPart(value: Readable, indent: string, out: Output): string {
  if (typeof value !== 'object' || value === null) return ` ${formatScalar(value)}`
  if (isList(value)) {
    if (value.length === 0) return ' none'
    if (value.every((item) => typeof item !== 'object'))
      return ` ${value.map(formatScalar).join(' ')}`
    return value.map((item) => `\n${indent}–${formatItem(item, `${indent}  `, out)}`).join('')
  }
  return Object.entries(value)
    .map(
      ([name, part]) =>
        `\n${indent}${out.style('dim', toPrintable(name))}${formatPart(part, `${indent}  `, out)}`,
    )
    .join('')
}

/** A claim reads better under its name. */
function formatItem(value: Readable, indent: string, out: Output): string {
  if (typeof value === 'object' && value !== null && 'name' in value && 'value' in value) {
    const { name, value: content } = value
    return ` ${formatScalar(name)}${formatPart(content, indent, out)}`
  }
  return formatPart(value, indent, out)
}

function formatScalar(value: Readable): string {
  if (typeof value === 'string') return value === '' ? '""' : toPrintable(value)
  return value === null ? 'none' : JSON.stringify(value)
}

function isList(value: Readable): value is readonly Readable[] {
  return Array.isArray(value)
}
