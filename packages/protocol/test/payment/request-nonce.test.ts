import { createHash } from 'node:crypto'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { createPaymentNonce, hashRequest } from '@countersign/protocol/payment/request-nonce'
import { expect, test } from 'vitest'
import { seededBytes } from '../../../../test/vectors/signers.ts'

const digest = seededBytes('body')

test('the request hash is SHA-256 over a name, method, path and body digest', () => {
  const expected = createHash('sha256')
    .update('countersign/request/v1\nPOST\n/v1/chat/completions\n')
    .update(digest)
    .digest()
  expect(Buffer.from(hashRequest('POST', '/v1/chat/completions', digest))).toEqual(expected)
})

test('the nonce is keccak256 over request hash and salt', () => {
  const salt = seededBytes('salt')
  const nonce = createPaymentNonce(digest, salt)
  expect(nonce).toEqual(keccak_256(Buffer.concat([digest, salt])))
  expect(nonce).toHaveLength(32)
  expect(createPaymentNonce(salt, digest)).not.toEqual(nonce)
})
