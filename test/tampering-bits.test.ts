import { verify } from '@countersign/protocol/verify/verify'
import { encodeBundle, parseBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { beforeAll, expect, test } from 'vitest'
import { rememberSignatures } from './tampering/remember-signatures.ts'
import { forgeBundle } from './vectors/forge.ts'
import { signedAtMs, streamCall } from './vectors/sample-call.ts'

const bundle = parseBundle(forgeBundle(streamCall))
const [evidence] = bundle.evidence
if (evidence === undefined || bundle.events === undefined)
  throw new Error('the sample is not whole')
const { events } = bundle

/** Every byte string that something signed stands for, and the bundle with another one in its place. */
const fields: readonly (readonly [string, Uint8Array, (bytes: Uint8Array) => Partial<Bundle>])[] = [
  ['statement', bundle.statement, (statement) => ({ statement })],
  ['keyset statement', bundle.keyset, (keyset) => ({ keyset })],
  ['evidence', evidence.data, (data) => ({ evidence: [{ ...evidence, data }] })],
  ['nonce of the evidence', evidence.nonce, (nonce) => ({ evidence: [{ ...evidence, nonce }] })],
  ['list of events', events, (changed) => ({ events: changed })],
  ...bundle.claims.map(
    (entry, at) =>
      [
        `claim ${at}`,
        entry.kind === 'claim' ? entry.bytes : entry.hash,
        (bytes: Uint8Array) => ({ claims: bundle.claims.with(at, { kind: 'claim', bytes }) }),
      ] as const,
  ),
]

beforeAll(rememberSignatures)

test('the sample is valid, and all that it holds is turned below', async () => {
  const { verdict } = await verify(encodeBundle(bundle), defaultPolicy, signedAtMs)
  expect(verdict).toBe('valid')
  expect(fields).toHaveLength(5 + 12)
})

test.each(fields)('any single bit of the %s that is turned is refused', async (_, bytes, put) => {
  const taken: string[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const turned = Uint8Array.from(bytes)
    const at = bit >> 3
    turned[at] = (turned[at] ?? 0) ^ (1 << (bit & 7))
    const tampered = encodeBundle({ ...bundle, ...put(turned) })
    const { verdict } = await verify(tampered, defaultPolicy, signedAtMs)
    if (verdict !== 'invalid') taken.push(`bit ${bit}: ${verdict}`)
  }
  expect(bytes.length).toBeGreaterThan(31)
  expect(taken).toEqual([])
})
