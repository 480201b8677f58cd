import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  createResponseReader,
  encodeContent,
  encodeRequest,
  encodeResponseEnd,
  encodeResponseHead,
  parseRequest,
  type BinaryRequest,
} from '@countersign/protocol/sealed/binary-http'
import {
  createFrameReader,
  encodeFrame,
  encodeLastFrame,
  maxChunkBytes,
} from '@countersign/protocol/sealed/chunk-frames'
import { encodeInteger, readInteger } from '@countersign/protocol/sealed/quic-integer'
import {
  encodeRequestHead,
  parseRequestHead,
  requestInfo,
} from '@countersign/protocol/sealed/request-head'
import { createResponseCipher } from '@countersign/protocol/sealed/response-cipher'
import { SealedError } from '@countersign/protocol/sealed/sealed-error'
import * as fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { seededBytes } from '../../../../test/vectors/signers.ts'
import { bytes, runs } from '../arbitrary.ts'

const noBytes = new Uint8Array(0)

function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof SealedError) return error.code
    throw error
  }
}

test('integers are those of RFC 9000, in their shortest form', () => {
  for (const [value, hex] of [
    [0, '00'],
    [37, '25'],
    [63, '3f'],
    [64, '4040'],
    [15_293, '7bbd'],
    [16_383, '7fff'],
    [16_384, '80004000'],
    [494_878_333, '9d7f3e7d'],
    [0x3fffffff, 'bfffffff'],
  ] as const) {
    expect(toHex(encodeInteger(value))).toBe(hex)
    const encoded = fromHex(hex) ?? noBytes
    expect(readInteger(encoded, 0)).toEqual({ value, end: encoded.length })
    expect(readInteger(encoded.subarray(0, -1), 0)).toBeUndefined()
  }
  expect(() => encodeInteger(0x40000000)).toThrow(RangeError)
  for (const hex of ['4025', '80000025', 'c000000000000001']) {
    expect(codeOf(() => readInteger(fromHex(hex) ?? noBytes, 0))).toBe('sealed-malformed')
  }
})

const request: BinaryRequest = {
  method: 'POST',
  path: '/v1/chat/completions?a=b',
  authority: 'gateway.example:8443',
  fields: [
    ['content-type', 'application/json'],
    ['x-latin', 'Gr\u00fc\u00dfe'],
  ],
  body: encodeUtf8('{"model":"m"}'),
}

test('a request survives, with and without a body', () => {
  expect(parseRequest(encodeRequest(request))).toEqual(request)
  const without = { ...request, fields: [], body: noBytes }
  expect(parseRequest(encodeRequest(without))).toEqual(without)
})

const text = (value: string): Uint8Array =>
  concatBytes(encodeInteger(value.length), encodeUtf8(value))
const control = (
  framing = 2,
  scheme = 'https',
  method = 'GET',
  authority = 'h',
  path = '/',
): Uint8Array => concatBytes(encodeInteger(framing), ...[method, scheme, authority, path].map(text))
const zero = Uint8Array.of(0)

test.each([
  ['another framing', concatBytes(control(0), zero, zero, zero)],
  ['a method in lower case', concatBytes(control(2, 'https', 'get'), zero, zero, zero)],
  ['an authority with a space', concatBytes(control(2, 'https', 'GET', 'a b'), zero, zero, zero)],
  ['a path without a slash', concatBytes(control(2, 'https', 'GET', 'h', 'x'), zero, zero, zero)],
  [
    'a path of two lines',
    concatBytes(control(2, 'https', 'GET', 'h', '/\r\na: b'), zero, zero, zero),
  ],
  [
    'a text above 64 KiB',
    concatBytes(control(2, 'https', 'GET', 'h', `/${'x'.repeat(65_536)}`), zero, zero, zero),
  ],
  [
    '16,385 pieces',
    concatBytes(control(), zero, ...Array.from({ length: 16_385 }, () => text('x')), zero, zero),
  ],
  ['another scheme', concatBytes(control(2, 'http'), zero, zero, zero)],
  ['a name with a line feed', concatBytes(control(), text('a\nb'), text('c'), zero, zero, zero)],
  ['a name in upper case', concatBytes(control(), text('A'), text('c'), zero, zero, zero)],
  [
    'a value with a line feed',
    concatBytes(control(), text('a'), text('b\r\nc: d'), zero, zero, zero),
  ],
  ['a value of NUL', concatBytes(control(), text('a'), text('\0'), zero, zero, zero)],
  ['trailers', concatBytes(control(), zero, zero, text('a'), text('b'), zero)],
  ['bytes after it', concatBytes(encodeRequest(request), zero)],
  ['no end of its fields', control()],
  ['no end of its content', concatBytes(control(), zero)],
  ['no trailers', concatBytes(control(), zero, zero)],
  ['no path', concatBytes(encodeInteger(2), text('GET'), text('https'), text('h'))],
  [
    'fields of more than 64 KiB',
    concatBytes(
      control(),
      ...Array.from({ length: 300 }, () => concatBytes(text('a'), text('b'.repeat(250)))),
      zero,
      zero,
      zero,
    ),
  ],
  [
    'a field that never ends',
    concatBytes(control(), text('a'), encodeInteger(100_000), new Uint8Array(70_000)),
  ],
  ['nothing', noBytes],
])('a request with %s is refused', (_, given) => {
  expect(codeOf(() => parseRequest(given))).toBe('sealed-malformed')
})

test('any bytes are a request or refused by name, and every cut of one is refused', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      expect(codeOf(() => parseRequest(given)) ?? 'sealed-malformed').toBe('sealed-malformed')
    }),
    runs(500),
  )
  const whole = encodeRequest(request)
  for (let length = 0; length < whole.length; length++) {
    expect(codeOf(() => parseRequest(whole.subarray(0, length)))).toBe('sealed-malformed')
  }
})

const answer = concatBytes(
  encodeResponseHead(200, [['content-type', 'text/event-stream']]),
  encodeContent(encodeUtf8('first')),
  encodeContent(noBytes),
  encodeContent(encodeUtf8('second')),
  encodeResponseEnd([['x-receipt-statement', 'abc']]),
)

test('an answer is read however it is cut', () => {
  for (let size = 1; size <= answer.length; size++) {
    const reader = createResponseReader()
    const heads: unknown[] = []
    let content = ''
    for (let at = 0; at < answer.length; at += size) {
      const read = reader.push(answer.subarray(at, at + size))
      if (read.head !== undefined) heads.push(read.head)
      content += new TextDecoder().decode(read.content)
    }
    expect(heads).toEqual([{ status: 200, fields: [['content-type', 'text/event-stream']] }])
    expect(content).toBe('firstsecond')
    expect(reader.end()).toEqual([['x-receipt-statement', 'abc']])
  }
})

test('an answer that ends early, or goes on, is refused', () => {
  for (let length = 0; length < answer.length; length++) {
    const reader = createResponseReader()
    reader.push(answer.subarray(0, length))
    expect(codeOf(() => reader.end())).toBe('sealed-truncated')
  }
  for (const given of [
    concatBytes(answer, zero),
    encodeResponseHead(103, []),
    encodeResponseHead(600, []),
    concatBytes(encodeInteger(2), encodeInteger(200), zero),
  ]) {
    expect(codeOf(() => createResponseReader().push(given))).toBe('sealed-malformed')
  }
})

test('frames are read however they are cut, and only to their end', () => {
  const body = concatBytes(
    encodeFrame(encodeUtf8('one')),
    encodeFrame(encodeUtf8('two')),
    encodeLastFrame(encodeUtf8('three')),
  )
  for (let size = 1; size <= body.length; size++) {
    const reader = createFrameReader()
    const chunks: Uint8Array[] = []
    for (let at = 0; at < body.length; at += size) {
      chunks.push(...reader.push(body.subarray(at, at + size)))
    }
    expect(chunks.map((chunk) => new TextDecoder().decode(chunk))).toEqual(['one', 'two'])
    expect(new TextDecoder().decode(reader.end())).toBe('three')
  }
  const early = createFrameReader()
  early.push(body.subarray(0, 8))
  expect(codeOf(() => early.end())).toBe('sealed-truncated')
})

test('a chunk has at most 64 KiB', () => {
  const most = new Uint8Array(maxChunkBytes)
  // So many and no more, whether they come at once or not.
  const two = concatBytes(encodeFrame(most), encodeFrame(most))
  expect(createFrameReader(2).push(two)).toEqual([most, most])
  expect(codeOf(() => createFrameReader(1).push(two))).toBe('sealed-malformed')
  const strict = createFrameReader(1)
  strict.push(encodeFrame(most))
  expect(codeOf(() => strict.push(encodeFrame(most)))).toBe('sealed-malformed')
  expect(createFrameReader().push(encodeFrame(most))).toEqual([most])
  const more = new Uint8Array(maxChunkBytes + 1)
  for (const given of [encodeFrame(more), encodeLastFrame(more)]) {
    expect(codeOf(() => createFrameReader().push(given))).toBe('sealed-malformed')
  }
})

test('the head names the key and the one suite', () => {
  const key = seededBytes('hpke key')
  const head = encodeRequestHead(key)
  expect(toHex(head).slice(2)).toBe('002000010001')
  expect(requestInfo(head)).toEqual(
    concatBytes(encodeUtf8('message/bhttp chunked request'), zero, head),
  )
  const whole = concatBytes(head, seededBytes('enc'), Uint8Array.of(7))
  const parsed = parseRequestHead(whole)
  expect([parsed.head, parsed.encapsulated, parsed.rest]).toEqual([
    head,
    seededBytes('enc'),
    Uint8Array.of(7),
  ])
  expect(codeOf(() => parseRequestHead(whole.subarray(0, 38)))).toBe('sealed-truncated')
  const other = Uint8Array.from(whole)
  other[6] = 2
  expect(codeOf(() => parseRequestHead(other))).toBe('sealed-malformed')
})

test('chunks of an answer open in their order, each in its place', async () => {
  const secret = seededBytes('secret').subarray(0, 16)
  const make = async (nonce = 'nonce') =>
    await createResponseCipher(secret, seededBytes('enc'), seededBytes(nonce).subarray(0, 16))
  const sender = await make()
  const first = await sender.seal(encodeUtf8('first'), false)
  const last = await sender.seal(encodeUtf8('last'), true)
  const receiver = await make()
  expect(await receiver.open(first, false)).toEqual(encodeUtf8('first'))
  expect(await receiver.open(last, true)).toEqual(encodeUtf8('last'))
  // The same every time: another implementation can be compared with it.
  expect(toHex(first)).toMatchInlineSnapshot(`"953286ba719295e7ac0e01b45de9cb0580623e609b"`)
  const refusals: readonly (readonly [Uint8Array, boolean, string?])[] = [
    [last, true],
    [first, true],
    [first, false, 'other nonce'],
    [first.subarray(1), false],
    [noBytes, false],
  ]
  for (const [sealed, isLast, nonce] of refusals) {
    await expect((await make(nonce)).open(sealed, isLast)).rejects.toThrow('sealed-tampered')
  }
})

afterEach(() => {
  vi.unstubAllGlobals()
})

test('a page without WebCrypto is told so', async () => {
  vi.stubGlobal('crypto', {})
  await expect(createResponseCipher(noBytes, noBytes, noBytes)).rejects.toThrow('no WebCrypto here')
})
