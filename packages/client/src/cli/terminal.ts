/** Where the command line writes, and how: colours and progress only where a person looks. */

/** A text style. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'alarm'

/** One output stream. */
export type Output = {
  readonly isTerminal: boolean
  write(text: string): void
  /** The text in this style, or as it is where colours do not belong. */
  style(style: Style, text: string): string
}

/** Standard output and standard error. */
export type Terminal = { readonly out: Output; readonly err: Output }

/** The part of a Node stream that is used. */
export type OutputStream = { readonly isTTY?: boolean; write(text: string): unknown }

const codes: Readonly<Record<Style, string>> = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  alarm: '1;30;43',
}

/** Wraps the streams of a process. Colours need a terminal that is not dumb, and no NO_COLOR (no-color.org). */
export function createTerminal(
  streams: { readonly stdout: OutputStream; readonly stderr: OutputStream },
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const noColor = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb'
  return {
    out: createOutput(streams.stdout, noColor),
    err: createOutput(streams.stderr, noColor),
  }
}

function createOutput(stream: OutputStream, noColor: boolean): Output {
  const isTerminal = stream.isTTY === true
  return {
    isTerminal,
    write: (text) => void stream.write(text),
    style: (style, text) =>
      isTerminal && !noColor ? `\u001b[${codes[style]}m${text}\u001b[0m` : text,
  }
}
