/** ST1: what decodes, and what is refused with which code. */
import type { ErrorCode } from '@countersign/protocol/errors'
import { listRows, type CodeTable } from '../code-table.ts'

/** A case as it stands in `vectors/cbor.json`. */
export type CborCase = {
  readonly name: string
  readonly clause: string
  readonly input: string
  readonly limitBytes: number
  readonly expect: { readonly ok: true } | { readonly code: ErrorCode }
}

type Row = readonly [name: string, clause: string, input: string, limitBytes?: number]

const limitByDefault = 8192

const good: readonly Row[] = [
  ['0', 'ST1.2', '00'],
  ['23, the largest in one byte', 'ST1.1', '17'],
  ['24, the smallest in two', 'ST1.1', '1818'],
  ['255', 'ST1.1', '18ff'],
  ['256', 'ST1.1', '190100'],
  ['65535', 'ST1.1', '19ffff'],
  ['65536', 'ST1.1', '1a00010000'],
  ['2^32 - 1', 'ST1.1', '1affffffff'],
  ['2^32', 'ST1.1', '1b0000000100000000'],
  ['2^53 - 1, the largest', 'ST1.2', '1b001fffffffffffff'],
  ['-1', 'ST1.2', '20'],
  ['-24', 'ST1.1', '37'],
  ['-25', 'ST1.1', '3818'],
  ['-(2^53 - 1), the smallest', 'ST1.2', '3b001ffffffffffffe'],
  ['false', 'ST1.2', 'f4'],
  ['true', 'ST1.2', 'f5'],
  ['null', 'ST1.2', 'f6'],
  ['no bytes', 'ST1.2', '40'],
  ['23 bytes', 'ST1.1', `57${'ab'.repeat(23)}`],
  ['24 bytes', 'ST1.1', `5818${'ab'.repeat(24)}`],
  ['256 bytes', 'ST1.1', `590100${'00'.repeat(256)}`],
  ['no text', 'ST1.2', '60'],
  ['text of one to four bytes a character', 'ST1.2', '6a61c3bce282acf09f9880'],
  ['text that begins with a byte order mark', 'ST1.2', '64efbbbf61'],
  ['text with U+0000', 'ST1.2', '6100'],
  ['text with U+10FFFF', 'ST1.2', '64f48fbfbf'],
  ['an empty array', 'ST1.2', '80'],
  ['an array of every type', 'ST1.2', '880020406080a0f4f6'],
  ['24 items', 'ST1.1', `9818${'00'.repeat(24)}`],
  ['an empty map', 'ST1.2', 'a0'],
  ['integer keys, negative ones after all others', 'ST1.1', 'a4000017001818002000'],
  ['text keys, shorter ones first', 'ST1.1', 'a3616200616300626161f5'],
  ['integer keys before text keys', 'ST1.1', 'a3010020006161f4'],
  ['the keys 1 and "1"', 'ST1.2', 'a20100613100'],
  ['a member named __proto__', 'ST1.2', 'a1695f5f70726f746f5f5f00'],
  ['eight arrays in one another', 'ST1.3', '8181818181818180'],
  ['eight maps in one another', 'ST1.3', 'a100a100a100a100a100a100a100a0'],
  ['as many bytes as allowed', 'ST1.3', '420000', 3],
]

const bad: CodeTable<Row> = {
  'cbor-truncated': [
    ['nothing at all', 'ST1.3', ''],
    ['a head without its one byte', 'ST1.3', '18'],
    ['a head with one byte of two', 'ST1.3', '1901'],
    ['a head with three bytes of four', 'ST1.3', '1a000100'],
    ['a head with seven bytes of eight', 'ST1.3', '1b00000001000000'],
    ['bytes that end early', 'ST1.4', '4201'],
    ['a length of 2^64 - 1', 'ST1.4', '5bffffffffffffffff'],
    ['text that ends early', 'ST1.4', '6261'],
    ['text that ends early, before its bytes are judged', 'ST1.5', '62ff'],
    ['an array of 2^32 items in no bytes', 'ST1.4', '9b0000000100000000'],
    ['an array with one item of two', 'ST1.4', '8200'],
    ['a map of one pair in one byte', 'ST1.4', 'a100'],
    ['a map of 2^53 pairs', 'ST1.4', 'bb0020000000000000'],
    ['a key that ends early', 'ST1.5', 'a16261'],
    ['two items in one byte, before that is judged', 'ST1.5', '82ff'],
    ['a pair in one byte, before that is judged', 'ST1.5', 'a1ff'],
    ['two pairs in three bytes, before these are judged', 'ST1.5', 'a2ff0000'],
    ['the last of nested arrays without its item', 'ST1.4', '8181'],
    ['an array deeper than allowed that is also too long', 'ST1.5', '818181818181818181'],
  ],
  'cbor-trailing-bytes': [
    ['a byte after an integer', 'ST1.3', '0000'],
    ['a byte after an empty map', 'ST1.3', 'a0f6'],
    ['a second item', 'ST1.3', '81008100'],
  ],
  'cbor-not-canonical': [
    ['23 in two bytes', 'ST1.3', '1817'],
    ['255 in three bytes', 'ST1.3', '1900ff'],
    ['65535 in five bytes', 'ST1.3', '1a0000ffff'],
    ['2^32 - 1 in nine bytes', 'ST1.3', '1b00000000ffffffff'],
    ['-24 in two bytes', 'ST1.3', '3817'],
    ['a length of 1 in two bytes', 'ST1.3', '580100'],
    ['a length of 1 in two bytes, with the byte missing', 'ST1.5', '5801'],
    ['a text length in three bytes', 'ST1.3', '79000161'],
    ['an array count in two bytes', 'ST1.3', '980100'],
    ['a map count in two bytes', 'ST1.3', 'b8010000'],
    ['bytes of indefinite length', 'ST1.3', '5f4100ff'],
    ['text of indefinite length', 'ST1.3', '7f6161ff'],
    ['an array of indefinite length', 'ST1.3', '9f00ff'],
    ['a map of indefinite length', 'ST1.3', 'bf0000ff'],
    ['a break', 'ST1.5', 'ff'],
    ['reserved additional information 28', 'ST1.5', '1c'],
    ['reserved additional information 30 of a tag', 'ST1.5', 'de'],
    ['a key with reserved additional information', 'ST1.5', 'a15c00'],
    ['integer keys out of order', 'ST1.3', 'a202000100'],
    ['a negative key before a positive one', 'ST1.3', 'a220000000'],
    ['a longer text key before a shorter one', 'ST1.3', 'a262616100616200'],
    ['keys out of order, before the value is judged', 'ST1.5', 'a2020001c0'],
  ],
  'cbor-duplicate-key': [
    ['equal integer keys', 'ST1.3', 'a201000100'],
    ['equal text keys', 'ST1.3', 'a2616100616101'],
    ['equal keys, before the value is judged', 'ST1.5', 'a2010001c0'],
  ],
  'cbor-invalid-utf8': [
    ['a byte that never occurs', 'ST1.3', '61ff'],
    ['a character that ends early', 'ST1.3', '61c3'],
    ['a surrogate', 'ST1.3', '63eda080'],
    ['an overlong form', 'ST1.3', '62c080'],
    ['above U+10FFFF', 'ST1.3', '64f4908080'],
    ['a key that is not UTF-8', 'ST1.3', 'a161ff00'],
  ],
  'cbor-too-deep': [
    ['nine arrays in one another', 'ST1.3', '818181818181818180'],
    ['nine maps in one another', 'ST1.3', 'a100a100a100a100a100a100a100a100a0'],
    ['a map in eight arrays', 'ST1.3', '8181818181818181a0'],
  ],
  'cbor-too-large': [
    ['more bytes than allowed', 'ST1.3', '43000000', 3],
    ['more bytes than allowed, before they are judged', 'ST1.5', 'ffffffff', 3],
  ],
  'cbor-unsupported-type': [
    ['2^53', 'ST1.2', '1b0020000000000000'],
    ['2^64 - 1', 'ST1.2', '1bffffffffffffffff'],
    ['-2^53', 'ST1.2', '3b001fffffffffffff'],
    ['a float of two bytes', 'ST1.2', 'f90000'],
    ['a float of four bytes', 'ST1.2', 'fa00000000'],
    ['a float of eight bytes', 'ST1.2', 'fb0000000000000000'],
    ['a float without its bytes', 'ST1.5', 'fb'],
    ['undefined', 'ST1.2', 'f7'],
    ['simple value 0', 'ST1.2', 'e0'],
    ['simple value 19', 'ST1.2', 'f3'],
    ['simple value in two bytes', 'ST1.2', 'f820'],
    ['tag 0', 'ST1.2', 'c000'],
    ['tag 18 inside', 'ST1.2', '81d280'],
    ['a key of bytes', 'ST1.2', 'a1410000'],
    ['a key of bytes that end early', 'ST1.2', 'a14400'],
    ['a key that is an array', 'ST1.2', 'a18000'],
    ['a key that is true', 'ST1.2', 'a1f500'],
    ['a key that is a tag', 'ST1.2', 'a1c000'],
  ],
}

/** All cases. */
export function cborCases(): readonly CborCase[] {
  const accepted = good.map((row): CborCase => toCase(row, { ok: true }))
  const refused = listRows(bad).map(([code, row]) => toCase(row, { code }))
  return [...accepted, ...refused]
}

function toCase(
  [name, clause, input, limitBytes = limitByDefault]: Row,
  expect: CborCase['expect'],
): CborCase {
  return { name, clause, input, limitBytes, expect }
}
