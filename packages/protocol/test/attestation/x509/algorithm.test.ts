import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import {
  parseEcdsaSignature,
  parsePublicKey,
  parseSignatureAlgorithm,
  verifySigned,
} from '@countersign/protocol/attestation/x509/algorithm'
import { expect, onTestFinished, test, vi } from 'vitest'
import {
  derElement,
  derObjectIdentifier,
  derSequence,
  derUnsignedInteger,
} from '../../../../../test/provider/der.ts'
import { evidenceRefusalOf } from '../refusal.ts'

const message = Buffer.from('what is signed')
const nul = derElement(5, new Uint8Array())
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const hashes = [
  ['sha256', '2.16.840.1.101.3.4.2.1', '1.2.840.113549.1.1.11', '1.2.840.10045.4.3.2', 32],
  ['sha384', '2.16.840.1.101.3.4.2.2', '1.2.840.113549.1.1.12', '1.2.840.10045.4.3.3', 48],
  ['sha512', '2.16.840.1.101.3.4.2.3', '1.2.840.113549.1.1.13', '1.2.840.10045.4.3.4', 64],
] as const

test.each(hashes)('verifies signatures over %s', async (hash, hashOid, rsaOid, ecdsaOid, salt) => {
  const pkcs1 = derSequence(derObjectIdentifier(rsaOid), nul)
  expect(await verifies(pkcs1, rsa.publicKey, sign(hash, message, rsa.privateKey))).toBe(true)
  const padded = sign(hash, message, {
    key: rsa.privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: salt,
  })
  expect(await verifies(pss(hashOid, salt, false), rsa.publicKey, padded)).toBe(true)
  expect(await verifies(pss(hashOid, salt, true), rsa.publicKey, padded)).toBe(true)
  expect(await verifies(pkcs1, rsa.publicKey, padded)).toBe(false)
  for (const { publicKey, privateKey } of [p256, p521]) {
    const ecdsa = derSequence(derObjectIdentifier(ecdsaOid))
    const signature = sign(hash, message, privateKey)
    expect(await verifies(ecdsa, publicKey, signature)).toBe(true)
    expect(await verifies(ecdsa, publicKey, signature.subarray(1))).toBe(false)
    expect(await verifies(ecdsa, rsa.publicKey, signature)).toBe(false)
    expect(await verifies(pkcs1, publicKey, signature)).toBe(false)
  }
})

test('a salt of another length than the hash is not taken', () => {
  for (const [, hashOid, , , salt] of hashes) {
    const algorithm = pss(hashOid, salt - 1, true)
    expect(evidenceRefusalOf(() => parseSignatureAlgorithm(algorithm))).toBe(
      'certificate-algorithm',
    )
  }
})

test('a point that is not on its curve has signed nothing', async () => {
  const info = Uint8Array.from(p256.publicKey.export({ type: 'spki', format: 'der' }))
  info[info.length - 1] = (info.at(-1) ?? 0) ^ 1
  const scheme = { name: 'ECDSA', hash: 'SHA-256' } as const
  const signed = { tbs: message, scheme, signature: sign('sha256', message, p256.privateKey) }
  expect(await verifySigned(signed, parsePublicKey(info))).toBe(false)
})

test('a page without WebCrypto is told so', async () => {
  vi.stubGlobal('crypto', {})
  onTestFinished(() => {
    vi.unstubAllGlobals()
  })
  const ecdsa = derSequence(derObjectIdentifier('1.2.840.10045.4.3.2'))
  const signature = sign('sha256', message, p256.privateKey)
  await expect(verifies(ecdsa, p256.publicKey, signature)).rejects.toThrow('no WebCrypto here')
})

test.each([
  ['three integers', derSequence(one(), one(), one())],
  ['one integer', derSequence(one())],
  ['a negative integer', derSequence(one(), derElement(2, Uint8Array.of(0x80)))],
  ['a padded integer', derSequence(one(), derElement(2, Uint8Array.of(0, 1)))],
  [
    'an integer that is too wide',
    derSequence(one(), derUnsignedInteger(new Uint8Array(33).fill(1))),
  ],
  ['bytes behind', Buffer.concat([derSequence(one(), one()), Uint8Array.of(0)])],
])('refuses an ECDSA signature of %s', (_, der) => {
  expect(evidenceRefusalOf(() => parseEcdsaSignature(der, 'P-256'))).toBe('signature-malformed')
})

test('an ECDSA signature has a fixed width', () => {
  const raw = parseEcdsaSignature(
    derSequence(one(), derUnsignedInteger(Uint8Array.of(0xff))),
    'P-384',
  )
  expect(raw).toHaveLength(96)
  expect([raw[47], raw[95]]).toEqual([1, 0xff])
})

async function verifies(
  algorithm: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): Promise<boolean> {
  const info = Uint8Array.from(key.export({ type: 'spki', format: 'der' }))
  const scheme = parseSignatureAlgorithm(algorithm)
  return await verifySigned({ tbs: message, scheme, signature }, parsePublicKey(info))
}

function pss(hashOid: string, salt: number, hasTrailer: boolean): Uint8Array {
  const hash = derSequence(derObjectIdentifier(hashOid), nul)
  const parameters = [
    derElement(0xa0, hash),
    derElement(0xa1, derSequence(derObjectIdentifier('1.2.840.113549.1.1.8'), hash)),
    derElement(0xa2, derUnsignedInteger(Uint8Array.of(salt))),
    ...(hasTrailer ? [derElement(0xa3, derUnsignedInteger(Uint8Array.of(1)))] : []),
  ]
  return derSequence(derObjectIdentifier('1.2.840.113549.1.1.10'), derSequence(...parameters))
}

function one(): Uint8Array {
  return derUnsignedInteger(Uint8Array.of(1))
}
