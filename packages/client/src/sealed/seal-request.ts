/** Seals one request (spec/sealed.md SE2, SE3). */
import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { encodeRequest } from '@countersign/protocol/sealed/binary-http'
import { encodeFrame, encodeLastFrame } from '@countersign/protocol/sealed/chunk-frames'
import { encodeRequestHead, requestInfo } from '@countersign/protocol/sealed/request-head'
import {
  createResponseCipher,
  responseLabel,
  responseNonceBytes,
  type ChunkCipher,
} from '@countersign/protocol/sealed/response-cipher'

/** A request to seal; its body was read already. */
export type PlainRequest = {
  readonly url: URL
  readonly request: Pick<Request, 'method' | 'headers'>
  readonly body: Uint8Array
  readonly nowMs: number
}

/** A sealed request, and how its answer is opened. */
export type SealedRequest = {
  readonly bytes: Uint8Array<ArrayBuffer>
  createCipher(responseNonce: Uint8Array): Promise<ChunkCipher>
}

const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM)
const plainChunkBytes = 32_768
const lastChunk = encodeUtf8('final')

/** Seals it to this key. The date inside bounds how long the gateway has to remember it. */
export async function sealRequest(
  { url, request, body, nowMs }: PlainRequest,
  publicKey: Uint8Array,
): Promise<SealedRequest> {
  const fields = Array.from(request.headers).filter(([name]) => name !== 'date')
  const plain = encodeRequest({
    method: request.method,
    path: `${url.pathname}${url.search}`,
    authority: url.host,
    fields: [...fields, ['date', new Date(nowMs).toUTCString()]],
    body,
  })
  const head = encodeRequestHead(publicKey)
  const key = await suite.DeserializePublicKey(publicKey)
  const { encapsulatedSecret, ctx } = await suite.SetupSender(key, { info: requestInfo(head) })
  const frames: Uint8Array[] = []
  let at = 0
  for (; at + plainChunkBytes < plain.length; at += plainChunkBytes) {
    frames.push(encodeFrame(await ctx.Seal(plain.subarray(at, at + plainChunkBytes))))
  }
  frames.push(encodeLastFrame(await ctx.Seal(plain.subarray(at), lastChunk)))
  return {
    bytes: new Uint8Array(concatBytes(head, encapsulatedSecret, ...frames)),
    createCipher: async (responseNonce) => {
      const secret = await ctx.Export(encodeUtf8(responseLabel), responseNonceBytes)
      return await createResponseCipher(secret, encapsulatedSecret, responseNonce)
    },
  }
}
