/** Cuts a body into pieces in ways that hurt, and puts them on the wire as an HTTP answer. */
import type { Random } from '../tampering/random.ts'

/** How a body is cut. */
export type SplitKind = 'whole' | 'bytes' | 'random' | 'characters' | 'line-ends'

const kinds = ['random', 'random', 'characters', 'line-ends', 'bytes'] as const
/** A piece for each byte costs a chunk each: not for bodies of a megabyte. */
const maxBytewise = 2048

/** One answer: its bytes from the first to the last, in the writes in which they leave. */
export interface SplitAnswer {
  readonly kind: SplitKind
  readonly pieces: number
  readonly writes: readonly Buffer[]
}

/** The body in one piece, for comparison. */
export function sendWhole(body: Buffer): SplitAnswer {
  return { kind: 'whole', pieces: 1, writes: [toChunks([body])] }
}

/** The body in random pieces. HTTP chunks, TCP writes and events are cut independently of each other. */
export function splitBody(random: Random, body: Buffer): SplitAnswer {
  const drawn = random.pick(kinds)
  const kind = drawn === 'bytes' && body.length > maxBytewise ? 'random' : drawn
  const pieces = cutAt(body, chooseCuts(random, kind, body))
  const wire = toChunks(pieces)
  const writeCuts = Array.from({ length: random.below(6) }, () => random.below(wire.length))
  return { kind, pieces: pieces.length, writes: cutAt(wire, writeCuts) }
}

function chooseCuts(random: Random, kind: SplitKind, body: Buffer): readonly number[] {
  switch (kind) {
    case 'whole':
      return []
    case 'bytes':
      return Array.from(body.keys())
    case 'random':
      return Array.from({ length: random.below(40) }, () => random.below(body.length))
    case 'characters':
      return findCuts(random, body, (byte) => (byte & 0xc0) === 0x80)
    case 'line-ends':
      return findCuts(random, body, (byte, before) => byte === 10 || before === 13 || before === 58)
  }
}

function findCuts(
  random: Random,
  body: Buffer,
  isCut: (byte: number, before: number) => boolean,
): readonly number[] {
  const cuts: number[] = []
  // Every place would be too many in a megabyte of them.
  const rarity = 1 + Math.floor(body.length / 10_000)
  for (let at = 1; at < body.length; at++) {
    if (!isCut(body[at] ?? 0, body[at - 1] ?? 0)) continue
    if (random.below(rarity) === 0) cuts.push(at)
  }
  return cuts
}

function cutAt(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const places = [...new Set(cuts)].filter((at) => at > 0 && at < bytes.length)
  const ends = [...places.toSorted((a, b) => a - b), bytes.length]
  let start = 0
  return ends.map((end) => {
    const piece = bytes.subarray(start, end)
    start = end
    return piece
  })
}

const head =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'

function toChunks(pieces: readonly Buffer[]): Buffer {
  const chunks = pieces.flatMap((piece) => [
    Buffer.from(`${piece.length.toString(16)}\r\n`),
    piece,
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([Buffer.from(head), ...chunks, Buffer.from('0\r\n\r\n')])
}
