/** Cases of tokens and key sets as such (spec/attestation.md AT11.1), on tokens of Confidential Space. */
import { createHmac } from 'node:crypto'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import type { EvidenceCase } from '../evidence-case.ts'
import {
  certifiedJwk,
  ecJwk,
  gpuServiceKey,
  issuedAtS,
  keySet,
  rsaJwk,
  serviceKey,
  strangerKey,
  type Json,
  type TokenEdit,
} from '../forge-token.ts'
import { seededKey } from '../test-key.ts'
import { workload } from './token-workload.ts'

/** All of them. */
export function tokenFormCases(): readonly EvidenceCase[] {
  return [
    ...malformedCases(),
    ...algorithmCases(),
    ...keySetCases(),
    ...trustCases(),
    ...dateCases(),
  ]
}

function malformedCases(): readonly EvidenceCase[] {
  const rows: readonly (readonly [string, TokenEdit])[] = [
    ['no bytes', { whole: () => '' }],
    ['a token of two parts', { whole: (token) => token.split('.').slice(0, 2).join('.') }],
    ['a token of four parts', { whole: (token) => `${token}.` }],
    ['a token with a line behind', { whole: (token) => `${token}\n` }],
    ['a token with padding', { whole: (token) => `${token}=` }],
    ['a header that is not base64url', { whole: part(0, '+///') }],
    ['a header that is not JSON', { whole: part(0, encode('{')) }],
    ['a header that is no object', { whole: part(0, encode('[]')) }],
    ['claims that are no object', { claimsText: '[]' }],
    ['claims with a member twice', { claimsText: '{"iat":1,"iat":1}' }],
    ['claims with a fraction', { claims: { more: 1.5 } }],
    ['claims nested too deep', { claims: { more: [[[[[[[[]]]]]]]] } }],
    ['a header without alg', { header: { alg: undefined } }],
    ['a header without kid', { header: { kid: undefined } }],
    ['an alg that is no text', { header: { alg: 1 } }],
    ['an empty kid', { header: { kid: '' } }],
    ['a header with crit', { header: { crit: ['exp'] } }],
    ['a header with a key of its own', { header: { jwk: rsaJwk(strangerKey) } }],
    ['a header with certificates of its own', { header: { x5c: [] } }],
    ['a header with the place of certificates', { header: { x5u: 'https://example.com' } }],
    ['a header that changes what is signed', { header: { b64: false } }],
    ['a header that says the claims are compressed', { header: { zip: 'DEF' } }],
  ]
  return rows.map(([name, edit]) => ({
    ...workload(`${name} is refused`, 'AT11.1', edit),
    failed: { format: 'token-malformed' },
    open: { root: 'blocked', chain: 'blocked', signature: 'blocked', debug: 'blocked' },
  }))
}

function algorithmCases(): readonly EvidenceCase[] {
  const rows: readonly (readonly [string, TokenEdit])[] = [
    ['none', { header: { alg: 'none' }, sign: () => new Uint8Array(0) }],
    ['None with the signature of a right token', { header: { alg: 'None' } }],
    ['HS256 with the public key as its secret', { header: { alg: 'HS256' }, sign: hmac }],
    ['ES384', { header: { alg: 'ES384' }, sign: gpuServiceKey.sign }],
    ['PS256', { header: { alg: 'PS256' } }],
    ['RS512', { header: { alg: 'RS512' } }],
    ['rs256', { header: { alg: 'rs256' } }],
  ]
  return rows.map(([name, edit]) => ({
    ...workload(`the algorithm ${name} is refused`, 'AT11.1', edit),
    failed: { signature: 'token-algorithm' },
  }))
}

function keySetCases(): readonly EvidenceCase[] {
  const right = rsaJwk(serviceKey)
  const p256 = ecJwk(seededKey('p256', 'P-256'))
  const beside = (jwk: unknown): ReadonlyMap<string, Uint8Array> => keySet(right, jwk)
  const rows: readonly (readonly [string, ReadonlyMap<string, Uint8Array>])[] = [
    ['a set that is not JSON', raw('{')],
    ['a set that is no object', raw('[]')],
    ['a set without keys', raw('{}')],
    ['an empty set', keySet()],
    [
      'a set of 65 keys',
      keySet(...Array.from({ length: 65 }, (_, index) => ({ ...right, kid: `${index}` }))),
    ],
    ['a key that is no object', beside('key')],
    ['a key without a name', beside({ ...right, kid: undefined })],
    ['two keys of one name', beside(right)],
    ['a secret key', beside({ kty: 'oct', kid: 'other', k: 'AAAA' })],
    [
      'an RSA key of 1,024 bits',
      beside({ ...right, kid: 'other', n: toBase64url(serviceKey.modulus.slice(128)) }),
    ],
    ['an RSA key with the exponent 3', beside({ ...right, kid: 'other', e: 'Aw' })],
    [
      'an RSA key with a zero in front',
      beside({ ...right, kid: 'other', n: toBase64url(Uint8Array.of(0, ...serviceKey.modulus)) }),
    ],
    [
      'an RSA key of more than 8,192 bits',
      beside({ ...right, kid: 'other', n: toBase64url(new Uint8Array(1025).fill(1)) }),
    ],
    ['an RSA key without an exponent', beside({ ...right, kid: 'other', e: undefined })],
    ['an RSA key that is not base64url', beside({ ...right, kid: 'other', n: '+' })],
    ['an EC key of a curve that nobody takes', beside({ ...p256, kid: 'other', crv: 'secp256k1' })],
    ['an EC key cut short', beside({ ...p256, kid: 'other', x: 'AAAA' })],
    [
      'an EC key whose y is too long',
      beside({ ...p256, kid: 'other', y: toBase64url(new Uint8Array(33)) }),
    ],
    ['a key in no certificate', beside({ kty: 'RSA', kid: 'other', x5c: [] })],
    ['a key in a certificate that is no text', beside({ kty: 'RSA', kid: 'other', x5c: [1] })],
    ['a key in a certificate that is not base64', beside({ kty: 'RSA', kid: 'other', x5c: ['*'] })],
    [
      'a key in a certificate in base64url',
      beside(inBase64url(certifiedJwk(strangerKey, 'other'))),
    ],
    ['a key in a certificate that is not DER', beside({ kty: 'RSA', kid: 'other', x5c: ['MAA='] })],
  ]
  const good: readonly (readonly [string, ReadonlyMap<string, Uint8Array>])[] = [
    ['a key in a certificate', keySet(certifiedJwk(serviceKey))],
    [
      'a key among others',
      keySet(ecJwk(gpuServiceKey), p256WithName(p256), certifiedJwk(strangerKey, 'other'), right),
    ],
    [
      'a key beside one of 8,192 bits',
      beside({ ...right, kid: 'other', n: toBase64url(new Uint8Array(1024).fill(1)) }),
    ],
  ]
  return [
    ...rows.map(([name, collateral]) => ({
      ...workload(`${name} is refused`, 'AT11.2'),
      collateral,
      failed: { format: 'token-keys-malformed' } as const,
    })),
    ...good.map(([name, collateral]) => ({
      ...workload(`${name} is taken`, 'AT11.2'),
      collateral,
    })),
    {
      ...workload('a token without its key set stays open', 'AT11.2'),
      collateral: new Map(),
      open: { format: 'collateral-missing' },
    },
  ]
}

function trustCases(): readonly EvidenceCase[] {
  const stranger = { header: { kid: 'service' }, sign: strangerKey.sign }
  const signature = 'evidence-signature-invalid'
  return [
    {
      ...workload('a key that the set does not name is refused', 'AT11.2', {
        header: { kid: 'other' },
      }),
      failed: { format: 'token-key-unknown' },
    },
    {
      ...workload('a key set of somebody else is refused', 'AT11.3', stranger),
      collateral: keySet(rsaJwk(strangerKey)),
      failed: { root: 'chain-root-untrusted' },
    },
    {
      ...workload('no pinned key is refused', 'AT11.3'),
      roots: [],
      failed: { root: 'chain-root-untrusted' },
    },
    {
      ...workload('a token that another key signed is refused', 'AT11.4', stranger),
      failed: { signature },
    },
    {
      ...workload('claims changed after signing are refused', 'AT11.4', { whole: replaceClaims }),
      failed: { signature },
    },
    {
      ...workload('an empty signature is refused', 'AT11.4', { sign: () => new Uint8Array(0) }),
      failed: { signature },
    },
    {
      ...workload('an EC key in place of the RSA key is refused', 'AT11.4'),
      collateral: keySet(ecJwk(gpuServiceKey, 'service')),
      failed: { root: 'chain-root-untrusted', signature },
    },
  ]
}

function dateCases(): readonly EvidenceCase[] {
  const rows: readonly (readonly [string, Json, EvidenceCode | undefined])[] = [
    ['a token of a clock that is a minute ahead', { iat: issuedAtS + 70 }, undefined],
    ['a token from the future', { iat: issuedAtS + 71 }, 'token-not-yet-valid'],
    ['a token that begins later', { nbf: issuedAtS + 71 }, 'token-not-yet-valid'],
    ['a token that has ended', { exp: issuedAtS + 9 }, 'token-expired'],
    ['a token that ends now', { exp: issuedAtS + 10 }, undefined],
    ['a token that begins now', { nbf: issuedAtS + 10 }, undefined],
    ['a token without nbf', { nbf: undefined }, undefined],
    ['a token that began with the epoch', { nbf: 0 }, undefined],
  ]
  const missing: readonly (readonly [string, Json])[] = [
    ['a token without iat', { iat: undefined }],
    ['a token whose iat is text', { iat: '1' }],
    ['a token whose exp is negative', { exp: -1 }],
    ['a token without exp', { exp: undefined }],
    ['a token whose nbf is null', { nbf: null }],
    ['a token without iss', { iss: undefined }],
  ]
  return [
    ...rows.map(([name, claims, code]) => ({
      ...workload(`${name} is ${code === undefined ? 'taken' : 'refused'}`, 'AT11.5', { claims }),
      failed: code === undefined ? {} : { validity: code },
    })),
    ...missing.map(([name, claims]) => ({
      ...workload(`${name} is refused`, 'AT11.5', { claims }),
      failed: { format: 'token-claim-missing' } as const,
    })),
  ]
}

/** Another image, in a token whose signature was over the first. */
function replaceClaims(token: string): string {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const text = Buffer.from(claims, 'base64url').toString().replace('sha256:aa', 'sha256:ab')
  return [header, toBase64url(encodeUtf8(text)), signature].join('.')
}

function p256WithName(jwk: Json): Json {
  return { ...jwk, kid: 'p256' }
}

/** The token with another part in place of one. */
function part(index: number, text: string): (token: string) => string {
  return (token) => token.split('.').with(index, text).join('.')
}

function encode(text: string): string {
  return toBase64url(encodeUtf8(text))
}

/** What a verifier would take that believes alg, and takes the public key for a secret. */
function hmac(message: Uint8Array): Uint8Array {
  return createHmac('sha256', serviceKey.modulus).update(message).digest()
}

function raw(text: string): ReadonlyMap<string, Uint8Array> {
  return new Map([['key-set', encodeUtf8(text)]])
}

/** Its certificate in the other alphabet. */
function inBase64url(jwk: Json): Json {
  const text = String(jwk['x5c'])
  return { ...jwk, x5c: [text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')] }
}
