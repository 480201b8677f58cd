/** Opens a sealed request: whole, in order, to a key of this gateway (spec/sealed.md SE2, SE3). */
import {
  AEAD_AES_128_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  type RecipientContext,
} from 'hpke'
import { parseRequest, type BinaryRequest } from '@countersign/protocol/sealed/binary-http'
import { createFrameReader } from '@countersign/protocol/sealed/chunk-frames'
import { parseRequestHead, requestInfo } from '@countersign/protocol/sealed/request-head'
import {
  createResponseCipher,
  responseLabel,
  responseNonceBytes,
  type ChunkCipher,
} from '@countersign/protocol/sealed/response-cipher'
import { SealedError } from '@countersign/protocol/sealed/sealed-error'
import type { HpkeKey } from '../keys/hpke-key.ts'
import type { SealedKeys } from '../keys/sealed-keys.ts'

/** A request in clear, and how its answer is sealed. */
export type OpenedCall = {
  readonly request: BinaryRequest
  readonly encapsulated: Uint8Array
  readonly key: HpkeKey
  /** The cipher of the one answer to it. */
  createCipher(responseNonce: Uint8Array): Promise<ChunkCipher>
}

const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM)
const maxChunks = 16_384
const maxSmallChunks = 64
const bytesOfChunk = 1024
const lastChunk = Buffer.from('final')
const noBytes = new Uint8Array(0)

/**
 * Opens the bytes of a body. `undefined` when they are sealed to no key of these.
 *
 * @throws SealedError
 */
export async function openSealedCall(
  body: Uint8Array,
  keys: Pick<SealedKeys, 'find'>,
): Promise<OpenedCall | undefined> {
  const { head, encapsulated, rest } = parseRequestHead(body)
  const reader = createFrameReader(mostChunks(body))
  const chunks = reader.push(rest)
  const last = reader.end()
  let fault: unknown
  // The head holds one byte of the key: that of the last epoch may have the same.
  for (const key of keys.find(head)) {
    try {
      const context = await setUp(key, head, encapsulated)
      const plain: Uint8Array[] = []
      for (const chunk of chunks) plain.push(await open(context, chunk, noBytes))
      plain.push(await open(context, last, lastChunk))
      return describeOpened(key, encapsulated, context, plain)
    } catch (error) {
      fault ??= error
    }
  }
  if (fault !== undefined) throw fault
  return undefined
}

/** Each costs more to open than it holds: many of a byte would keep the process busy for a second (SE3.2). */
function mostChunks({ length }: Uint8Array): number {
  return Math.min(maxChunks, maxSmallChunks + Math.floor(length / bytesOfChunk))
}

function describeOpened(
  key: HpkeKey,
  encapsulated: Uint8Array,
  context: RecipientContext,
  plain: readonly Uint8Array[],
): OpenedCall {
  return {
    request: parseRequest(Buffer.concat(plain)),
    encapsulated,
    key,
    createCipher: async (responseNonce) => {
      const secret = await context.Export(Buffer.from(responseLabel), responseNonceBytes)
      return await createResponseCipher(secret, encapsulated, responseNonce)
    },
  }
}

async function setUp(
  { privateKey }: HpkeKey,
  head: Uint8Array,
  encapsulated: Uint8Array,
): Promise<RecipientContext> {
  try {
    const key = await suite.DeserializePrivateKey(privateKey)
    return await suite.SetupRecipient(key, encapsulated, { info: requestInfo(head) })
  } catch (cause) {
    throw new SealedError('sealed-malformed', { cause })
  }
}

async function open(
  context: RecipientContext,
  sealed: Uint8Array,
  about: Uint8Array,
): Promise<Uint8Array> {
  try {
    return await context.Open(sealed, about)
  } catch (cause) {
    throw new SealedError('sealed-tampered', { cause })
  }
}
