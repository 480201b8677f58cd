/** Heads of sealed requests name a key by one byte (spec/sealed.md SE2). */
import { expect, test } from 'vitest'
import { encodeRequestHead } from '@countersign/protocol/sealed/request-head'
import { sealRequest } from '../packages/client/src/sealed/seal-request.ts'
import { createHpkeKey } from '../packages/gateway/src/keys/hpke-key.ts'
import { createSealedKeys } from '../packages/gateway/src/keys/sealed-keys.ts'
import { openSealedCall } from '../packages/gateway/src/sealed/open-sealed-call.ts'

test('a call to the key before opens, also where the new key has the same head', async () => {
  const keys = createSealedKeys()
  const before = createHpkeKey()
  const head = encodeRequestHead(before.publicKey)
  let next = createHpkeKey()
  // One key in 256.
  for (let tries = 0; tries < 20_000; tries++) {
    if (Buffer.compare(encodeRequestHead(next.publicKey), head) === 0) break
    next = createHpkeKey()
  }
  keys.replace(before)
  keys.replace(next)
  expect(keys.find(head)).toEqual([next, before])
  const request = { method: 'GET', headers: new Headers() }
  const url = new URL('https://gateway.example/healthz')
  const plain = { url, request, body: new Uint8Array(0), nowMs: 1_795_000_000_000 }
  const { bytes } = await sealRequest(plain, before.publicKey)
  const opened = await openSealedCall(bytes, keys)
  expect(opened?.key).toBe(before)
  expect(opened?.request.path).toBe('/healthz')
  const { bytes: foreign } = await sealRequest(plain, createHpkeKey().publicKey)
  foreign.set(head)
  await expect(openSealedCall(foreign, keys)).rejects.toThrow('sealed-tampered')
})
