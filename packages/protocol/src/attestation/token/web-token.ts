/** Signed JSON web tokens (RFC 7515, compact form), as bytes: nothing here is verified (spec/attestation.md). */
import { copyBytes, decodeUtf8 } from '../../bytes/byte-string.ts'
import { isCborMap } from '../../bytes/cbor-encode.ts'
import { decodeJson, type JsonMap } from '../../bytes/json-decode.ts'
import { textOf } from '../../bytes/map-reader.ts'
import { fromBase64url } from '../../bytes/text-encoding.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { maxTokenBytes } from '../limits.ts'

/** What a token says, and what its signature is over. */
export type WebToken = {
  /** As written: nobody but the verifier's table may choose what it means. */
  readonly algorithm: string
  readonly keyId: string
  readonly claims: JsonMap
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
}

const code = 'token-malformed'
const dot = 0x2e
const knownParameters: ReadonlySet<string> = new Set(['alg', 'jku', 'kid', 'typ'])

/**
 * Parses a token that fills the input. Header parameters that would change what is verified, or with which key, are
 * refused (`crit`, `jwk`, `x5c` and whatever else is not known); `jku` is read over and never fetched.
 *
 * @throws EvidenceError `token-malformed`.
 */
export function parseWebToken(bytes: Uint8Array): WebToken {
  const text = bytes.length > maxTokenBytes ? undefined : decodeUtf8(bytes)
  const [header, claims, signature, ...rest] = (text ?? '').split('.').map(fromBase64url)
  refuseUnless(signature !== undefined && rest.length === 0, code)
  const parameters = parseObject(header)
  const isKnown = [...parameters.keys()].every((name) => knownParameters.has(name))
  refuseUnless(isKnown, code)
  return {
    algorithm: textOf(parameters.get('alg'), 1, 16) ?? refuse(code),
    keyId: textOf(parameters.get('kid'), 1, 256) ?? refuse(code),
    claims: parseObject(claims),
    signedBytes: copyBytes(bytes, 0, bytes.lastIndexOf(dot)),
    signature,
  }
}

/** The bytes of a JSON object, or a refusal. */
function parseObject(bytes: Uint8Array | undefined): JsonMap {
  const value = bytes === undefined ? undefined : decodeJson(bytes)
  refuseUnless(isCborMap(value), code)
  return value
}
