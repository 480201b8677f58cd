/** Takes the data out of a server-sent event. */

/** The data of an event: its data lines, joined (the WHATWG rules for server-sent events). */
export function dataOf(event: Buffer): Buffer {
  const first = event.indexOf('data:')
  const isOnlyLine = event.indexOf('data:', first + 5) < 0
  const isAtLineStart = first === 0 || event[first - 1] === 0x0a || event[first - 1] === 0x0d
  if (isOnlyLine && isAtLineStart)
    return event.subarray(skipSpace(event, first + 5), lineEnd(event, first))
  const lines = event
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
  return Buffer.from(lines.join('\n'))
}

function skipSpace(event: Buffer, offset: number): number {
  return event[offset] === 0x20 ? offset + 1 : offset
}

function lineEnd(event: Buffer, from: number): number {
  const feed = event.indexOf(0x0a, from)
  const end = feed < 0 ? event.length : feed
  const carriage = event.subarray(from, end).indexOf(0x0d)
  return carriage < 0 ? end : from + carriage
}
