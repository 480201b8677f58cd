/** Text of somebody else on a terminal: a name in a bundle or an answer of a model can hold escape sequences. */

// Controls of C0 and C1, deletes, line separators, and marks that turn the direction of writing.
const unsafe = /[\p{Cc}\p{Cf}\u2028\u2029]/gu
const layout = new Set(['\n', '\t', '\u200c', '\u200d'])

/** One line: everything that could move the cursor or hide is written as an escape. */
export function toPrintable(text: string): string {
  return text.replaceAll(unsafe, escape)
}

/** Running text: as above, but line feeds, tabs and the joiners of emoji stay. */
export function toPrintableText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(unsafe, (character) => (layout.has(character) ? character : escape(character)))
}

function escape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
