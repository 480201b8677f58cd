import {
  constants,
  createDecipheriv,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
  randomBytes,
  type KeyObject,
} from 'node:crypto'
import { expect, test } from 'vitest'
import { makeCredential } from '@countersign/protocol/attestation/tpm/make-credential'
import { parseTpmPublic, type TpmPublic } from '@countersign/protocol/attestation/tpm/tpm-public'
import { encodeRsaPublic } from './rsa-public.ts'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ek = parseTpmPublic(encodeRsaPublic(createPublicKey(privateKey)))
const akName = randomBytes(34)

/** What a TPM does with a credential, by OpenSSL: `undefined` when the HMAC does not hold. */
function activate(
  key: KeyObject,
  name: Uint8Array,
  { idObject, encryptedSecret }: Awaited<ReturnType<typeof makeCredential>>,
): Buffer | undefined {
  const seed = privateDecrypt(
    {
      key,
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: 'sha256',
      oaepLabel: Buffer.from('IDENTITY\0'),
    },
    encryptedSecret,
  )
  const derive = (label: string, context: Uint8Array, bits: number): Buffer => {
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bits)
    const parts = [Buffer.of(0, 0, 0, 1), Buffer.from(`${label}\0`), context, size]
    return createHmac('sha256', seed)
      .update(Buffer.concat(parts))
      .digest()
      .subarray(0, bits / 8)
  }
  const integrity = Buffer.from(idObject.subarray(2, 34))
  const identity = idObject.subarray(34)
  const expected = createHmac('sha256', derive('INTEGRITY', Buffer.alloc(0), 256))
    .update(Buffer.concat([identity, name]))
    .digest()
  if (!expected.equals(integrity)) return undefined
  const cipher = createDecipheriv('aes-128-cfb', derive('STORAGE', name, 128), Buffer.alloc(16))
  const plain = Buffer.concat([cipher.update(identity), cipher.final()])
  expect(plain.readUInt16BE(0)).toBe(plain.length - 2)
  return plain.subarray(2)
}

test('the TPM with the EK gets the secret back, for the named key alone', async () => {
  for (const length of [16, 30, 32]) {
    const secret = randomBytes(length)
    const credential = await makeCredential(ek, akName, secret, randomBytes(32))
    expect(activate(privateKey, akName, credential)?.equals(secret)).toBe(true)
    expect(activate(privateKey, randomBytes(34), credential)).toBeUndefined()
  }
})

test('makes no credential for a key that is no endorsement key', async () => {
  const storage = 0x000300b2
  const keys: readonly (readonly [string, Parameters<typeof encodeRsaPublic>[1]])[] = [
    ['it may leave its TPM', { attributes: storage & ~0x2 }],
    ['it may leave its parent', { attributes: storage & ~0x10 }],
    ['it was imported', { attributes: storage & ~0x20 }],
    ['it decrypts anything', { attributes: storage & ~0x10000 }],
    ['it does not decrypt', { attributes: storage & ~0x20000 }],
    ['it also signs', { attributes: storage | 0x40000 }],
    ['its name is made with another hash', { nameAlgorithm: 0x0c }],
    ['its cipher has 256 bits', { symmetricBits: 256 }],
  ]
  for (const [why, plan] of keys) {
    const key = parseTpmPublic(encodeRsaPublic(createPublicKey(privateKey), plan))
    await expect(
      makeCredential(key, akName, randomBytes(32), randomBytes(32)),
      why,
    ).rejects.toMatchObject({ code: 'tpm-key' })
  }
  const onCurve: TpmPublic = { ...ek, key: { kind: 'P-256', bytes: new Uint8Array(65) } }
  await expect(
    makeCredential(onCurve, akName, randomBytes(32), randomBytes(32)),
  ).rejects.toMatchObject({ code: 'tpm-key' })
})

test('says that a page without WebCrypto cannot challenge', async () => {
  const { subtle } = crypto
  Object.defineProperty(crypto, 'subtle', { value: undefined, configurable: true })
  try {
    await expect(makeCredential(ek, akName, randomBytes(32), randomBytes(32))).rejects.toThrow(
      /no WebCrypto/,
    )
  } finally {
    Object.defineProperty(crypto, 'subtle', { value: subtle, configurable: true })
  }
})

test('takes RSA keys of 2,048 bits and more with the usual exponent', () => {
  const key = createPublicKey(privateKey)
  expect(parseTpmPublic(encodeRsaPublic(key, { exponent: 65_537 })).key.kind).toBe('RSA')
  const wrong = [
    { exponent: 3 },
    { keyBits: 1024 },
    { keyBits: 3072 },
    { modulus: Buffer.alloc(256, 1) },
  ]
  for (const plan of wrong) {
    expect(() => parseTpmPublic(encodeRsaPublic(key, plan))).toThrow('tpm-malformed')
  }
})
