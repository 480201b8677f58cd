import { readFileSync } from 'node:fs'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import { expect, test } from 'vitest'
import { storeVerdict, type StoredCase } from '../../../test/vectors/bundle-case.ts'

const cases: readonly StoredCase[] = JSON.parse(
  readFileSync(new URL('../../../vectors/bundles.json', import.meta.url), 'utf8'),
)

const count = (verdict: string): number =>
  cases.filter(({ expect: expected }) => expected.verdict === verdict).length

test('there are vectors of every verdict', () => {
  expect(count('valid')).toBeGreaterThan(30)
  expect(count('incomplete')).toBeGreaterThan(10)
  expect(count('invalid')).toBeGreaterThan(300)
})

test.each(cases)('$clause: $name', async (stored) => {
  const verdict = await verify(
    bundleOf(stored),
    policyOf(stored.policy),
    stored.now,
    heldOf(stored.held),
  )
  expect(storeVerdict(verdict)).toEqual(stored.expect)
})

function bundleOf({ bundle, trailingSpaces = 0 }: StoredCase): Uint8Array {
  const bytes = decode(bundle)
  const padded = new Uint8Array(bytes.length + trailingSpaces).fill(0x20)
  padded.set(bytes)
  return padded
}

function policyOf(policy: string): Uint8Array {
  if (policy === 'default') return defaultPolicy
  return policy === 'production' ? productionPolicy : decode(policy.replace('b64:', ''))
}

function heldOf({ request, response, nonce, responseIsPrefix }: StoredCase['held']): Held {
  return {
    ...(typeof request === 'string' ? { request: decode(request) } : {}),
    ...(typeof response === 'string' ? { response: decode(response) } : {}),
    ...(typeof nonce === 'string' ? { nonce: decode(nonce) } : {}),
    ...(typeof responseIsPrefix === 'boolean' ? { responseIsPrefix } : {}),
  }
}

function decode(text: string): Uint8Array {
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new Error('a vector is not base64url')
  return bytes
}
