/** What a client of OpenGradient sends, reads and checks, written from the published sources of its SDKs. */
import { constants, createPublicKey, verify } from 'node:crypto'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import { hashMessage, hashRequest, hashText } from '../../src/profiles/open-gradient-hash.ts'

/** The headers of each of its calls. */
export const openGradientHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  authorization: 'Bearer 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef',
  'x-settlement-type': 'batch',
}

/** Posts a call. */
export async function postOpenGradient(
  origin: string,
  path: string,
  body: string,
): Promise<RawResult> {
  return callRaw({ url: origin + path, method: 'POST', headers: openGradientHeaders, body })
}

/** The members of a whole answer, or of the last frame of a stream, as its SDK splits it. */
export function readLastFrame(body: string): Readonly<Record<string, unknown>> {
  let last: Readonly<Record<string, unknown>> = {}
  for (const line of body.split('\n')) {
    const text = line.trim()
    if (!text.startsWith('data: ')) continue
    if (text === 'data: [DONE]') return last
    last = JSON.parse(text.slice(6))
  }
  throw new Error('the stream has no [DONE]')
}

/** Its own check of an answer: hashes, key and signature. */
export async function isSignedBy(
  origin: string,
  request: string,
  output: string,
  members: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const { body } = await callRaw({ url: `${origin}/signing-key` })
  return isSignedByKey(JSON.parse(body.toString()), request, output, members)
}

/** What `/signing-key` says. */
export interface SigningKey {
  readonly public_key: string
  readonly tee_id: string
}

/** The same check, with a key that was fetched before. */
export function isSignedByKey(
  key: SigningKey,
  request: string,
  output: string,
  members: Readonly<Record<string, unknown>>,
): boolean {
  const publicKey = createPublicKey(key.public_key)
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const teeId = `0x${toHex(keccak256(der))}`
  const wire = request.includes('"prompt"') ? 'openai-completions' : 'openai-chat'
  const requestHash = hashRequest(wire, request)
  const outputHash = hashText(output)
  if (members['tee_id'] !== teeId || key.tee_id !== teeId) return false
  if (members['tee_request_hash'] !== toHex(requestHash)) return false
  if (members['tee_output_hash'] !== toHex(outputHash)) return false
  const message = hashMessage(requestHash, outputHash, Number(members['tee_timestamp']))
  const { RSA_PKCS1_PSS_PADDING: padding } = constants
  const signature = Buffer.from(String(members['tee_signature']), 'base64')
  return verify('sha256', message, { key: publicKey, padding, saltLength: 32 }, signature)
}
