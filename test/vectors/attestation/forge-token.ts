/** Tokens of synthetic services: right by default, wrong in one place by an edit. */
import { createHash } from 'node:crypto'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import {
  derBitString,
  derElement,
  derObjectIdentifier,
  derSequence,
  derTime,
  derUnsignedInteger,
} from '../../provider/der.ts'
import { seededRsaKey, type RsaKey } from './rsa-key.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** Members of a JSON object. */
export type Json = Readonly<Record<string, unknown>>

/** What is changed. What is changed before signing is signed. */
export type TokenEdit = {
  readonly header?: Json
  readonly claims?: Json
  /** Replaces the JSON of the claims. */
  readonly claimsText?: string
  readonly sign?: (message: Uint8Array) => Uint8Array
  /** After signing. */
  readonly whole?: (token: string) => string
}

/** The time of judging; tokens were made ten seconds before. */
export const tokenTimeMs = 1_780_000_000_000

/** Ten seconds before the time of judging, in seconds. */
export const issuedAtS: number = tokenTimeMs / 1000 - 10

/** The key of the services that sign RS256, and somebody else's. */
export const serviceKey: RsaKey = seededRsaKey('service', [204n, 760n])
export const strangerKey: RsaKey = seededRsaKey('stranger', [44n, 1972n])

/** The key of the service that signs ES384. */
export const gpuServiceKey: TestKey = seededKey('gpu service')

/** Dates that every token has. */
export const tokenDates: Json = { iat: issuedAtS, nbf: issuedAtS, exp: issuedAtS + 3600 }

/** A token of the RS256 services. */
export function forgeToken(claims: Json, edit: TokenEdit = {}): string {
  return seal({ alg: 'RS256', kid: 'service', typ: 'JWT' }, claims, serviceKey.sign, edit)
}

/** A token of the ES384 service. */
export function forgeGpuToken(claims: Json, edit: TokenEdit = {}): string {
  return seal({ alg: 'ES384', kid: 'gpu', typ: 'JWT' }, claims, gpuServiceKey.sign, edit)
}

/** The public key as a member of a set. */
export function rsaJwk({ modulus }: RsaKey, kid = 'service'): Json {
  return { kty: 'RSA', kid, alg: 'RS256', use: 'sig', n: toBase64url(modulus), e: 'AQAB' }
}

/** The public key as a member of a set. */
export function ecJwk({ curve, point }: TestKey, kid = 'gpu'): Json {
  const half = (point.length - 1) / 2
  const [x, y] = [point.slice(1, 1 + half), point.slice(1 + half)].map(toBase64url)
  return { kty: 'EC', kid, alg: 'ES384', use: 'sig', crv: curve, x, y }
}

/** The key as Azure publishes it: in a certificate only, which signs itself. */
export function certifiedJwk({ modulus, sign }: RsaKey, kid = 'service'): Json {
  return { kty: 'RSA', kid, x5c: [Buffer.from(selfSigned(modulus, sign)).toString('base64')] }
}

/** A key set as collateral. */
export function keySet(...keys: readonly unknown[]): ReadonlyMap<string, Uint8Array> {
  return new Map([['key-set', encodeUtf8(JSON.stringify({ keys }))]])
}

/** What a pin of this key is: its RFC 7638 thumbprint in hex. */
export function thumbprintOf(jwk: Json): string {
  const names = jwk['kty'] === 'RSA' ? ['e', 'kty', 'n'] : ['crv', 'kty', 'x', 'y']
  const members = Object.fromEntries(names.map((name) => [name, jwk[name]]))
  return createHash('sha256').update(JSON.stringify(members)).digest('hex')
}

function seal(header: Json, claims: Json, sign: RsaKey['sign'], edit: TokenEdit): string {
  const text = edit.claimsText ?? JSON.stringify({ ...claims, ...edit.claims })
  const parts = [JSON.stringify({ ...header, ...edit.header }), text]
  const signed = parts.map((part) => toBase64url(encodeUtf8(part))).join('.')
  const token = `${signed}.${toBase64url((edit.sign ?? sign)(encodeUtf8(signed)))}`
  return edit.whole?.(token) ?? token
}

function selfSigned(modulus: Uint8Array, sign: RsaKey['sign']): Uint8Array {
  const algorithm = toAlgorithm('1.2.840.113549.1.1.11')
  const key = derSequence(derUnsignedInteger(modulus), derUnsignedInteger(Uint8Array.of(1, 0, 1)))
  const toBeSigned = derSequence(
    derElement(0xa0, derUnsignedInteger(Uint8Array.of(2))),
    derUnsignedInteger(Uint8Array.of(1)),
    algorithm,
    derSequence(),
    derSequence(derTime(tokenTimeMs), derTime(tokenTimeMs)),
    derSequence(),
    derSequence(toAlgorithm('1.2.840.113549.1.1.1'), derBitString(key)),
  )
  return derSequence(toBeSigned, algorithm, derBitString(sign(toBeSigned)))
}

function toAlgorithm(oid: string): Uint8Array {
  return derSequence(derObjectIdentifier(oid), Uint8Array.of(5, 0))
}
