import { isDeepStrictEqual } from 'node:util'
import { parseBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import { beforeAll, expect, test } from 'vitest'
import { mutateBundle } from './tampering/mutate.ts'
import { chooseSeed, createRandom } from './tampering/random.ts'
import { rememberSignatures } from './tampering/remember-signatures.ts'
import { forgeBundle } from './vectors/forge.ts'
import { refusedCall, signedAtMs, streamCall } from './vectors/sample-call.ts'

const rounds = 100_000
const samples = [streamCall, refusedCall, refusedCall].map((call) => parseBundle(forgeBundle(call)))

beforeAll(rememberSignatures)

test('a bundle that was changed at random is valid only where it still says the same', async () => {
  const random = createRandom(chooseSeed())
  const seen = new Map<string, number>()
  const wrong: string[] = []
  for (let round = 0; round < rounds; round++) {
    const bundle = random.pick(samples)
    const mutated = mutateBundle(bundle, random)
    const { verdict } = await verify(mutated, defaultPolicy, signedAtMs)
    const isSame = verdict === 'valid' && saysTheSame(mutated, bundle)
    const key = isSame ? 'same' : verdict
    seen.set(key, (seen.get(key) ?? 0) + 1)
    if (verdict === 'valid' && !isSame) wrong.push(Buffer.from(mutated).toString())
  }
  console.log(`COUNTERSIGN_TEST_SEED=${random.seed}`, Object.fromEntries(seen))
  expect(wrong, `seed ${random.seed}`).toEqual([])
  expect(seen.get('invalid')).toBeGreaterThan(rounds * 0.95)
  expect([...seen.keys()].toSorted()).toEqual(expect.arrayContaining(['invalid', 'same']))
}, 900_000)

/** JSON has room for spaces, escapes and order that mean nothing. */
function saysTheSame(mutated: Uint8Array, bundle: Bundle): boolean {
  return isDeepStrictEqual(parseBundle(mutated), bundle)
}
