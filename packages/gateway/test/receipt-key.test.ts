import { createPublicKey, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import { judgeEs256 } from '@countersign/protocol/crypto/es256'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createReceiptKey } from '../src/keys/receipt-key.ts'

const signatures = 5000

test('converts 5,000 signatures from DER so that each verifies and has a low s', async () => {
  const signer = createReceiptKey()
  const half = BigInt('0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8')
  const key = createPublicKey({
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: Buffer.from(signer.publicKey.subarray(0, 32)).toString('base64url'),
      y: Buffer.from(signer.publicKey.subarray(32)).toString('base64url'),
    },
    format: 'jwk',
  })
  let short = 0
  for (let index = 0; index < signatures; index++) {
    const message = Buffer.from(`message ${index}`)
    const signature = signer.sign(message)
    expect(signature).toHaveLength(64)
    if (signature[0] === 0 || signature[32] === 0) short++
    expect(BigInt(`0x${toHex(signature.subarray(32))}`) <= half).toBe(true)
    expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
    if (index < 50) expect(await judgeEs256(signer.publicKey, message, signature)).toBeUndefined()
  }
  // Integers shorter than 32 bytes have occurred: the conversion has padded them.
  expect(short).toBeGreaterThan(5)
})

test('makes another key each time', () => {
  const keys = Array.from({ length: 5 }, () => toHex(createReceiptKey().publicKey))
  expect(new Set(keys).size).toBe(5)
  expect(keys.every((key) => key.length === 128)).toBe(true)
})
