/** JSON web key sets (RFC 7517) as token services publish them. No key in one is believed before its pin is found. */
import { concatBytes, encodeUtf8 } from '../../bytes/byte-string.ts'
import { isCborArray, isCborMap, type CborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import { fromBase64, fromBase64url, toBase64url, toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { rsaExponent, type Curve, type PublicKey } from '../../crypto/verify-signature.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { createEcKey, createRsaKey, parsePublicKey } from '../x509/algorithm.ts'
import { openSequence } from '../x509/der.ts'
import { integerTag, sequenceTag } from '../x509/der-numbers.ts'
import { maxKeySetBytes, maxKeys } from '../limits.ts'

/** A key of a set. */
export type TokenKey = {
  readonly publicKey: PublicKey
  /** SHA-256 thumbprint (RFC 7638) in hex: what a pin is. */
  readonly thumbprint: string
}

const code = 'token-keys-malformed'
// Version, serial, algorithm, issuer, dates, subject.
const tagsBeforeKey = [0xa0, integerTag, ...Array<number>(4).fill(sequenceTag)]
const curves: readonly Curve[] = ['P-256', 'P-384', 'P-521']

/**
 * The keys of a set by their `kid`. Where a key has its parameters only in a certificate (Azure), they are taken from
 * there; the certificate itself proves nothing and is not judged.
 *
 * @throws EvidenceError `token-keys-malformed`, also for two keys of one `kid`.
 */
export function parseKeySet(bytes: Uint8Array): ReadonlyMap<string, TokenKey> {
  const set = bytes.length > maxKeySetBytes ? undefined : decodeJson(bytes)
  const members = isCborMap(set) ? set.get('keys') : undefined
  refuseUnless(isCborArray(members) && members.length > 0 && members.length <= maxKeys, code)
  const keys = new Map<string, TokenKey>()
  for (const member of members) {
    refuseUnless(isCborMap(member), code)
    const keyId = member.get('kid')
    refuseUnless(typeof keyId === 'string' && !keys.has(keyId), code)
    const publicKey = parseKey(member)
    keys.set(keyId, { publicKey, thumbprint: toThumbprint(publicKey) })
  }
  return keys
}

/** RFC 7638 §3: the required members in order, without spaces. */
function toThumbprint({ kind, bytes }: PublicKey): string {
  const half = (bytes.length + 1) / 2
  const members =
    kind === 'RSA'
      ? { e: rsaExponent, kty: kind, n: toBase64url(bytes) }
      : {
          crv: kind,
          kty: 'EC',
          x: toBase64url(bytes.subarray(1, half)),
          y: toBase64url(bytes.subarray(half)),
        }
  return toHex(sha256(encodeUtf8(JSON.stringify(members))))
}

function parseKey(jwk: CborMap): PublicKey {
  const member = (name: string): Uint8Array => {
    const text = jwk.get(name)
    refuseUnless(typeof text === 'string', code)
    return fromBase64url(text) ?? refuse(code)
  }
  const kind = jwk.get('kty')
  if (kind === 'RSA' && jwk.has('n')) return createRsaKey(member('n'), member('e'), code)
  if (kind !== 'EC' || !jwk.has('x')) return parseCertified(jwk.get('x5c'))
  const x = member('x')
  const y = member('y')
  refuseUnless(x.length === y.length, code)
  const curve = curves.find((name) => name === jwk.get('crv'))
  return createEcKey(curve, concatBytes(Uint8Array.of(4), x, y), code)
}

/** The key of the first certificate of `x5c`, which is padded base64 of DER. */
function parseCertified(chain: CborValue | undefined): PublicKey {
  const [first] = isCborArray(chain) ? chain : []
  refuseUnless(typeof first === 'string', code)
  const der = fromBase64(first) ?? refuse(code)
  try {
    const certificate = openSequence(der, code).open(sequenceTag)
    for (const tag of tagsBeforeKey) certificate.take(tag)
    return parsePublicKey(certificate.take(sequenceTag).encoded)
  } catch (cause) {
    return refuse(code, '', cause)
  }
}
