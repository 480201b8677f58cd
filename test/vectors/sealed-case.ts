/** A case of `vectors/sealed.json`: a sealed request with the key that opens it, or an answer with its secret. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromHex, toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  createResponseReader,
  parseRequest,
  type Field,
} from '@countersign/protocol/sealed/binary-http'
import { createFrameReader } from '@countersign/protocol/sealed/chunk-frames'
import {
  encodeRequestHead,
  parseRequestHead,
  requestInfo,
} from '@countersign/protocol/sealed/request-head'
import {
  createResponseCipher,
  responseNonceBytes,
} from '@countersign/protocol/sealed/response-cipher'
import { SealedError, type SealedErrorCode } from '@countersign/protocol/sealed/sealed-error'
import { setUpHpke, x25519Public, type HpkeContext } from './hpke.ts'

/** What comes out. `sealed-key-unknown`: the request is sealed to no key at hand (SE4.3). */
export type SealedOutcome =
  | { readonly code: SealedErrorCode | 'sealed-key-unknown' }
  | {
      readonly method: string
      readonly path: string
      readonly authority: string
      readonly fields: readonly Field[]
      readonly content: string
    }
  | {
      readonly status: number
      readonly fields: readonly Field[]
      readonly content: string
      readonly trailers: readonly Field[]
    }

/** A case as it stands in the file. Byte strings are base64url, keys hex. */
export type StoredSealedCase = {
  readonly name: string
  readonly clause: string
  readonly body: string
  readonly expect: SealedOutcome
} & (
  | { readonly privateKey: string }
  /** What the HPKE context exported, and the `enc` of the request. */
  | { readonly secret: string; readonly enc: string }
)

const noBytes = new Uint8Array(0)
const last = encodeUtf8('final')
const maxChunks = 16_384

/** Opens a request by the code of `protocol` and the HPKE beside this file. */
function openRequest(body: Uint8Array, privateKey: Uint8Array): SealedOutcome {
  return refusalOr(() => {
    const { head, encapsulated, rest } = parseRequestHead(body)
    const most = Math.min(maxChunks, 64 + Math.floor(body.length / 1024))
    const reader = createFrameReader(most)
    const chunks = reader.push(rest)
    const end = reader.end()
    const recipient = x25519Public(privateKey)
    if (head[0] !== encodeRequestHead(recipient)[0]) return { code: 'sealed-key-unknown' }
    const keys = { peer: encapsulated, enc: encapsulated, recipient }
    const context = setUp(privateKey, keys, requestInfo(head))
    const plain = chunks.map((chunk) => opened(context, chunk, noBytes))
    const {
      method,
      path,
      authority,
      fields,
      body: content,
    } = parseRequest(concatBytes(...plain, opened(context, end, last)))
    return { method, path, authority, fields, content: toBase64url(content) }
  })
}

/** Opens an answer by the code of `protocol`. */
async function openAnswer(
  body: Uint8Array,
  secret: Uint8Array,
  enc: Uint8Array,
): Promise<SealedOutcome> {
  try {
    if (body.length < responseNonceBytes) throw new SealedError('sealed-truncated')
    const frames = createFrameReader()
    const chunks = frames.push(body.subarray(responseNonceBytes))
    const end = frames.end()
    const cipher = await createResponseCipher(secret, enc, body.subarray(0, responseNonceBytes))
    const reader = createResponseReader()
    const plain: Uint8Array[] = []
    for (const chunk of chunks) plain.push(await cipher.open(chunk, false))
    plain.push(await cipher.open(end, true))
    const { head, content } = reader.push(concatBytes(...plain))
    const trailers = reader.end()
    if (head === undefined) throw new SealedError('sealed-truncated')
    return { ...head, content: toBase64url(content), trailers }
  } catch (error) {
    if (error instanceof SealedError) return { code: error.code }
    throw error
  }
}

/** Opens what stands in the file. */
export async function openStored(stored: StoredSealedCase): Promise<SealedOutcome> {
  const body = Uint8Array.from(Buffer.from(stored.body, 'base64url'))
  if ('privateKey' in stored) return openRequest(body, toBytes(stored.privateKey))
  return await openAnswer(body, toBytes(stored.secret), toBytes(stored.enc))
}

/** The bytes of a key in hex. */
function toBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  if (bytes === undefined) throw new Error(`no hex: ${toHex(noBytes)}`)
  return bytes
}

function refusalOr(open: () => SealedOutcome): SealedOutcome {
  try {
    return open()
  } catch (error) {
    if (error instanceof SealedError) return { code: error.code }
    throw error
  }
}

function setUp(...given: Parameters<typeof setUpHpke>): HpkeContext {
  try {
    return setUpHpke(...given)
  } catch (cause) {
    throw new SealedError('sealed-malformed', { cause })
  }
}

function opened(context: HpkeContext, sealed: Uint8Array, about: Uint8Array): Uint8Array {
  const plain = context.open(sealed, about)
  if (plain === undefined) throw new SealedError('sealed-tampered')
  return plain
}
