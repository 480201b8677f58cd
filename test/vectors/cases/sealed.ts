/** SE2 to SE4: sealed messages that open, and those that are refused with which code. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  encodeContent,
  encodeRequest,
  encodeResponseEnd,
  encodeResponseHead,
  type BinaryRequest,
} from '@countersign/protocol/sealed/binary-http'
import { encodeFrame, encodeLastFrame } from '@countersign/protocol/sealed/chunk-frames'
import { encodeInteger } from '@countersign/protocol/sealed/quic-integer'
import { encodeRequestHead, requestInfo } from '@countersign/protocol/sealed/request-head'
import { responseLabel } from '@countersign/protocol/sealed/response-cipher'
import {
  aesSeal,
  hkdfExpand,
  hkdfExtract,
  setUpHpke,
  x25519Public,
  type HpkeContext,
} from '../hpke.ts'
import { openStored, type SealedOutcome, type StoredSealedCase } from '../sealed-case.ts'
import { seededBytes } from '../signers.ts'

type Code = Extract<SealedOutcome, { code: string }>['code']
type Row = readonly [name: string, body: Uint8Array, code?: Code]

const noBytes = new Uint8Array(0)
const final = encodeUtf8('final')
const privateKey = seededBytes('sealed/recipient')
const recipient = x25519Public(privateKey)
const sender = seededBytes('sealed/sender')
const enc = x25519Public(sender)
const head = encodeRequestHead(recipient)
const request: BinaryRequest = {
  method: 'POST',
  path: '/v1/chat/completions?a=b',
  authority: 'gateway.example:8443',
  fields: [
    ['content-type', 'application/json'],
    ['date', 'Mon, 01 Jun 2026 00:00:00 GMT'],
    ['x-latin', 'Gr\u00fc\u00dfe'],
  ],
  body: encodeUtf8('{"model":"m"}'),
}
const plain = encodeRequest(request)
const answer = concatBytes(
  encodeResponseHead(200, [['content-type', 'text/event-stream']]),
  encodeContent(encodeUtf8('data: first\n\n')),
  encodeContent(encodeUtf8('data: second\n\n')),
  encodeResponseEnd([['x-receipt-statement', 'abc']]),
)
const manyPieces = concatBytes(
  encodeResponseHead(200, []),
  ...Array.from({ length: 16_385 }, () => encodeContent(Uint8Array.of(120))),
  encodeResponseEnd([]),
)
/** A name of a million bytes, of which 66,000 are there. */
const longField = concatBytes(encodeInteger(1_000_000), new Uint8Array(66_000).fill(120))
const responseNonce = seededBytes('sealed/response nonce').subarray(0, 16)

/**
 * All cases.
 *
 * @throws Error when something else comes out than the author of a case named.
 */
export async function sealedCases(): Promise<readonly StoredSealedCase[]> {
  const secret = createContext().exportSecret(encodeUtf8(responseLabel), 16)
  const cases = [
    ...requestRows().map((row) => ({
      row,
      clause: 'SE2',
      keys: { privateKey: toHex(privateKey) },
    })),
    ...answerRows(secret).map((row) => ({
      row,
      clause: 'SE4',
      keys: { secret: toHex(secret), enc: toHex(enc) },
    })),
  ]
  const stored: StoredSealedCase[] = []
  for (const { row, clause, keys } of cases) {
    const [name, body, code] = row
    const given = { name, clause, ...keys, body: toBase64url(body) }
    const expect = await openStored({ ...given, expect: { code: 'sealed-malformed' } })
    const found = 'code' in expect ? expect.code : undefined
    if (found !== code) throw new Error(`sealed vector "${name}" is ${found ?? 'opened'}`)
    stored.push({ ...given, expect })
  }
  return stored
}

function createContext(of: Uint8Array = head): HpkeContext {
  return setUpHpke(sender, { peer: recipient, enc, recipient }, requestInfo(of))
}

/** A request whose plain bytes are sealed in chunks of these lengths, and what is left in the last. */
function seal(
  bytes: Uint8Array,
  lengths: readonly number[] = [],
  of: Uint8Array = head,
): Uint8Array {
  return concatBytes(of, enc, ...sealFrames(createContext(of), bytes, lengths))
}

function sealFrames(
  context: Pick<HpkeContext, 'seal'>,
  bytes: Uint8Array,
  lengths: readonly number[],
): readonly Uint8Array[] {
  let at = 0
  const frames = lengths.map((length) => {
    at += length
    return encodeFrame(context.seal(bytes.subarray(at - length, at), noBytes))
  })
  return [...frames, encodeLastFrame(context.seal(bytes.subarray(at), final))]
}

function requestRows(): readonly Row[] {
  const whole = seal(plain)
  const [first = noBytes, second = noBytes, end = noBytes] = sealFrames(
    createContext(),
    plain,
    [9, 9],
  )
  const assemble = (...frames: readonly Uint8Array[]): Uint8Array =>
    concatBytes(head, enc, ...frames)
  const flip = (at: number): Uint8Array => whole.with(at, (whole.at(at) ?? 0) ^ 1)
  const context = createContext()
  return [
    ['a request in one chunk', whole],
    ['a request in three chunks', seal(plain, [9, 9])],
    ['a request whose last chunk holds nothing', seal(plain, [plain.length])],
    ['as many small chunks as may be', seal(plain, Array<number>(65).fill(1))],
    ['one small chunk too many', seal(plain, Array<number>(66).fill(1)), 'sealed-malformed'],
    ['a request without a body', seal(encodeRequest({ ...request, fields: [], body: noBytes }))],
    ['nothing', noBytes, 'sealed-truncated'],
    ['a head alone', concatBytes(head, enc), 'sealed-truncated'],
    ['no last chunk', assemble(first, second), 'sealed-truncated'],
    ['a chunk cut short', assemble(first, second.subarray(0, -1)), 'sealed-truncated'],
    [
      'another suite',
      concatBytes(head.with(6, 2), enc, ...sealFrames(context, plain, [])),
      'sealed-malformed',
    ],
    [
      'a length that is longer than it needs to be',
      assemble(Uint8Array.of(0x40, 0x19), first.subarray(1), end),
      'sealed-malformed',
    ],
    [
      'a length of eight bytes',
      assemble(Uint8Array.of(0xc0), new Uint8Array(8)),
      'sealed-malformed',
    ],
    [
      'a share of low order',
      concatBytes(head, noShare, ...sealFrames(createContext(), plain, [])),
      'sealed-malformed',
    ],
    ['a request of another key', flip(0), 'sealed-key-unknown'],
    ['a bit of the share turned', flip(8), 'sealed-tampered'],
    ['a bit of the content turned', flip(-1), 'sealed-tampered'],
    ['chunks in another order', assemble(second, first, end), 'sealed-tampered'],
    ['a chunk left out', assemble(first, end), 'sealed-tampered'],
    ['a chunk twice', assemble(first, first, second, end), 'sealed-tampered'],
    [
      'a chunk in the place of the last',
      assemble(first, Uint8Array.of(0), second.subarray(1)),
      'sealed-tampered',
    ],
    ['a last chunk with a byte behind', concatBytes(whole, Uint8Array.of(0)), 'sealed-tampered'],
    ['a last chunk shorter than its tag', assemble(Uint8Array.of(0, 1)), 'sealed-tampered'],
    ['an answer where a request must be', seal(answer), 'sealed-malformed'],
    ['bytes behind the request', seal(concatBytes(plain, Uint8Array.of(0))), 'sealed-malformed'],
    ['another scheme', seal(replace(plain, 'https', 'httpz')), 'sealed-malformed'],
    ['a method in lower case', seal(replace(plain, 'POST', 'pOST')), 'sealed-malformed'],
    ['a name in upper case', seal(replace(plain, 'x-latin', 'X-latin')), 'sealed-malformed'],
    ['a value with a line feed', seal(replace(plain, 'Gr', '\n ')), 'sealed-malformed'],
    ['a path without a slash', seal(replace(plain, '/v1/chat', 'xv1/chat')), 'sealed-malformed'],
  ]
}

const noShare = new Uint8Array(32)

function replace(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const at = Buffer.from(bytes).indexOf(from, 0, 'latin1')
  if (at < 0) throw new Error(`no ${from}`)
  const changed = Uint8Array.from(bytes)
  changed.set(Buffer.from(to, 'latin1'), at)
  return changed
}

/** An answer sealed by SE4.1 as it is written there. */
function answerContext(secret: Uint8Array): Pick<HpkeContext, 'seal'> {
  const prk = hkdfExtract(concatBytes(enc, responseNonce), secret)
  const key = hkdfExpand(prk, encodeUtf8('key'), 16)
  const base = hkdfExpand(prk, encodeUtf8('nonce'), 12)
  let count = 0
  return {
    seal: (bytes, about) => {
      const nonce = base.with(11, (base[11] ?? 0) ^ count)
      count += 1
      return aesSeal(key, nonce, bytes, about)
    },
  }
}

function answerRows(secret: Uint8Array): readonly Row[] {
  const seals = (bytes: Uint8Array, lengths: readonly number[] = []): Uint8Array =>
    concatBytes(responseNonce, ...sealFrames(answerContext(secret), bytes, lengths))
  const [first = noBytes, second = noBytes, end = noBytes] = sealFrames(
    answerContext(secret),
    answer,
    [20, 20],
  )
  const whole = seals(answer)
  return [
    ['an answer in one chunk', whole],
    ['an answer in three chunks', seals(answer, [20, 20])],
    [
      'an answer without content',
      seals(concatBytes(encodeResponseHead(204, []), encodeResponseEnd([]))),
    ],
    ['an answer in more pieces than a request may have', seals(manyPieces, [40_000])],
    ['an answer that broke off', concatBytes(responseNonce, first, second), 'sealed-truncated'],
    ['an answer of ten bytes', responseNonce.subarray(0, 10), 'sealed-truncated'],
    ['an answer that ends early inside', seals(answer.subarray(0, -1)), 'sealed-truncated'],
    ['an answer with another nonce', whole.with(0, (whole[0] ?? 0) ^ 1), 'sealed-tampered'],
    [
      'chunks of an answer in another order',
      concatBytes(responseNonce, second, first, end),
      'sealed-tampered',
    ],
    ['bytes behind an answer', seals(concatBytes(answer, Uint8Array.of(0))), 'sealed-malformed'],
    [
      'a field longer than a section, cut',
      seals(concatBytes(encodeResponseHead(200, []).subarray(0, -1), longField), [40_000]),
      'sealed-malformed',
    ],
    ['an informational answer', seals(encodeResponseHead(103, [])), 'sealed-malformed'],
    ['a request where an answer must be', seals(plain), 'sealed-malformed'],
  ]
}
