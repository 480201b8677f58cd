/** The published sealed requests, opened by the gateway's own code and library. */
import { readFileSync } from 'node:fs'
import { fromHex, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { encodeRequestHead } from '@countersign/protocol/sealed/request-head'
import { SealedError } from '@countersign/protocol/sealed/sealed-error'
import { expect, test } from 'vitest'
import { x25519Public } from '../../../test/vectors/hpke.ts'
import type { StoredSealedCase } from '../../../test/vectors/sealed-case.ts'
import type { HpkeKey } from '../src/keys/hpke-key.ts'
import { openSealedCall } from '../src/sealed/open-sealed-call.ts'

const url = new URL('../../../vectors/sealed.json', import.meta.url)
const cases: readonly StoredSealedCase[] = JSON.parse(readFileSync(url, 'utf8'))
const requests = cases.flatMap((given) => ('privateKey' in given ? [given] : []))

test('there are requests that open, and others', () => {
  expect(requests.filter(({ expect: end }) => !('code' in end)).length).toBeGreaterThan(2)
  expect(requests.filter(({ expect: end }) => 'code' in end).length).toBeGreaterThan(10)
})

test.each(requests)('$clause: $name', async ({ body, privateKey, expect: expected }) => {
  const secret = fromHex(privateKey) ?? new Uint8Array(0)
  const key: HpkeKey = {
    privateKey: secret,
    publicKey: x25519Public(secret),
    confirm: () => undefined,
  }
  const find = (head: Uint8Array): readonly HpkeKey[] =>
    encodeRequestHead(key.publicKey)[0] === head[0] ? [key] : []
  const bytes = Uint8Array.from(Buffer.from(body, 'base64url'))
  const outcome = await openSealedCall(bytes, { find }).then(
    (opened) => {
      if (opened === undefined) return { code: 'sealed-key-unknown' }
      const { body: content, ...request } = opened.request
      return { ...request, content: toBase64url(content) }
    },
    (error: unknown) => {
      if (error instanceof SealedError) return { code: error.code }
      throw error
    },
  )
  expect(outcome).toEqual(expected)
})
