/** JSON web key sets (RFC 7517) as token services publish them. No key in one is believed before its pin is found. */
import { concatBytes, encodeUtf8 } from '../../bytes/byte-string.ts'
import { isCborArray, isCborMap, type CborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import { fromBase64url, toBase64url, toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { coordinateBytes, type Curve, type PublicKey } from '../../crypto/verify-signature.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { parsePublicKey } from '../x509/algorithm.ts'
import { derTags, openSequence } from '../x509/der.ts'

/** A key of a set. */
export type TokenKey = {
  readonly publicKey: PublicKey
  /** SHA-256 thumbprint (RFC 7638) in hex: what a pin is. */
  readonly thumbprint: string
}

const maxKeySetBytes = 262_144
const maxKeys = 64
const code = 'token-keys-malformed'
// Version, serial, algorithm, issuer, dates, subject.
const tagsBeforeKey = [0xa0, derTags.integer, ...Array<number>(4).fill(derTags.sequence)]
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
  if (!isCborArray(members) || members.length === 0 || members.length > maxKeys) refuse()
  const keys = new Map<string, TokenKey>()
  for (const member of members) {
    if (!isCborMap(member)) refuse()
    const keyId = member.get('kid')
    if (typeof keyId !== 'string' || keys.has(keyId)) refuse()
    const publicKey = parseKey(member)
    keys.set(keyId, { publicKey, thumbprint: toThumbprint(publicKey) })
  }
  return keys
}

/** RFC 7638 §3: the required members in order, without spaces. */
function toThumbprint(key: PublicKey): string {
  const members =
    key.kind === 'rsa'
      ? `{"e":"${toBase64url(key.exponent)}","kty":"RSA","n":"${toBase64url(key.modulus)}"}`
      : toEcMembers(key.curve, key.point.subarray(1))
  return toHex(sha256(encodeUtf8(members)))
}

function toEcMembers(curve: Curve, xy: Uint8Array): string {
  const width = coordinateBytes[curve]
  const [x, y] = [xy.subarray(0, width), xy.subarray(width)].map(toBase64url)
  return `{"crv":"${curve}","kty":"EC","x":"${x}","y":"${y}"}`
}

function parseKey(jwk: CborMap): PublicKey {
  if (jwk.get('kty') === 'RSA' && jwk.has('n')) return parseRsa(jwk)
  if (jwk.get('kty') === 'EC' && jwk.has('x')) return parseEc(jwk)
  return parseCertified(jwk.get('x5c'))
}

function parseRsa(jwk: CborMap): PublicKey {
  const modulus = parseMember(jwk, 'n')
  const exponent = parseMember(jwk, 'e')
  const isTaken = modulus.length >= 256 && modulus.length <= 1024 && toHex(exponent) === '010001'
  if (!isTaken || modulus[0] === 0) refuse()
  return { kind: 'rsa', modulus, exponent }
}

function parseEc(jwk: CborMap): PublicKey {
  const curve = curves.find((name) => name === jwk.get('crv'))
  const x = parseMember(jwk, 'x')
  const y = parseMember(jwk, 'y')
  const width = curve === undefined ? 0 : coordinateBytes[curve]
  if (curve === undefined || x.length !== width || y.length !== width) refuse()
  return { kind: 'ec', curve, point: concatBytes(Uint8Array.of(4), x, y) }
}

/** The key of the first certificate of `x5c`, which is padded base64 of DER. */
function parseCertified(chain: CborValue | undefined): PublicKey {
  const [first] = isCborArray(chain) ? chain : []
  if (typeof first !== 'string') refuse()
  const text = first
    .replace(/={0,2}$/, '')
    .replaceAll('+', '-')
    .replaceAll('/', '_')
  const der = fromBase64url(text)
  if (der === undefined) refuse()
  try {
    const certificate = openSequence(der, code).open(derTags.sequence)
    for (const tag of tagsBeforeKey) certificate.take(tag)
    return parsePublicKey(certificate.take(derTags.sequence).encoded)
  } catch (cause) {
    throw new EvidenceError(code, '', { cause })
  }
}

function parseMember(jwk: CborMap, name: string): Uint8Array {
  const text = jwk.get(name)
  const value = typeof text === 'string' ? fromBase64url(text) : undefined
  if (value === undefined) refuse()
  return value
}

function refuse(): never {
  throw new EvidenceError(code)
}
