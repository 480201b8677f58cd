/** Random cases for two verifiers: changed bundles, and bundles that are rightly signed but say something odd. */
import type { CborKey, CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { parseBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import { mutateBundle, mutateBytes } from '../tampering/mutate.ts'
import type { Random } from '../tampering/random.ts'
import { forgeBundle, type Edit, type Forgery } from '../vectors/forge.ts'
import { policyFile } from '../vectors/policy-file.ts'
import {
  abortedCall,
  jsonCall,
  refusedCall,
  signedAtMs,
  smallCall,
  streamCall,
  withClaim,
  withMembers,
  type SampleCall,
} from '../vectors/sample-call.ts'
import { discloseOnly, withhold } from '../vectors/withhold.ts'

/** What two verifiers are asked. */
export type RandomCase = {
  readonly bundle: Uint8Array
  readonly policy: 'default' | 'production' | Uint8Array
  readonly nowMs: number
  readonly held: Held
}

const calls = [jsonCall, streamCall, abortedCall, refusedCall, smallCall]

/** A maker of cases; every third is signed anew. */
export function createCaseMaker(random: Random): () => RandomCase {
  const bundles: readonly (readonly [SampleCall, Bundle])[] = calls.flatMap((call) => [
    [call, parseBundle(forgeBundle(call))],
    [call, parseBundle(forgeBundle(call, discloseOnly('request', 'response', 'stream', 'price')))],
    [call, parseBundle(forgeBundle(call, withhold('stream', 'request')))],
  ])
  return () => {
    const isForged = random.below(3) === 0
    const [call, bundle] = random.pick(bundles)
    return {
      bundle: isForged ? forgeOdd(call, random) : mutateBundle(bundle, random),
      policy: choosePolicy(random),
      nowMs: signedAtMs + random.pick([0, 1000, -300_000, -300_001, 1e12]),
      held: chooseHeld(call, random),
    }
  }
}

function forgeOdd(call: SampleCall, random: Random): Uint8Array {
  const forgery: Forgery = { evidence: 'none' }
  const edit = oddEdit(random, 13)
  switch (random.below(8)) {
    case 0:
      return forgeBundle(call, { ...forgery, statement: { payload: edit } })
    case 1:
      return forgeBundle(call, {
        ...forgery,
        statement: { payload: inside(9, oddEdit(random, 7)) },
      })
    case 2:
      return forgeBundle(call, {
        ...forgery,
        statement: { header: random.pick([edit, inside(15, oddEdit(random, 3))]) },
      })
    case 3:
      return forgeBundle(call, { ...forgery, document: edit })
    case 4:
      return forgeBundle(call, {
        ...forgery,
        keyset: random.pick([{ payload: edit }, { header: edit }]),
      })
    case 5: {
      const part = random.pick([{ payload: oddEdit(random, 5) }, { header: oddEdit(random, 5) }])
      return forgeBundle(call, {
        evidence: random.pick([
          { endorsement: part },
          { quote: part },
          { outer: oddEdit(random, 5) },
        ]),
      })
    }
    default:
      return forgeBundle(oddClaims(call, random), forgery)
  }
}

/** A field that is replaced, added or removed. */
function oddEdit(random: Random, keys: number): Edit {
  const key = random.below(keys + 1)
  const value = oddValue(random, 0)
  const isRemoved = random.below(5) === 0
  return (fields) => {
    if (isRemoved) fields.delete(key)
    else fields.set(key, value)
  }
}

function inside(key: number, edit: Edit): Edit {
  return (fields) => {
    const inner = fields.get(key)
    if (!(inner instanceof Map)) return
    const copy = new Map<CborKey, CborValue>(inner)
    edit(copy)
    fields.set(key, copy)
  }
}

function oddClaims(call: SampleCall, random: Random): SampleCall {
  const names = Array.from(call.claims.keys())
  const name = random.pick([...names, 'other', 'stream', 'refusal', 'model'])
  const claim = call.claims.get(name)
  if (!(claim instanceof Map) || random.below(6) === 0) {
    return withClaim(call, name, oddValue(random, 0))
  }
  const member = random.pick([...new Map<CborKey, CborValue>(claim).keys(), 'other'])
  return withMembers(call, name, { [member]: oddValue(random, 0) })
}

/** Mostly values at some limit. */
function oddValue(random: Random, depth: number): CborValue {
  const length = random.pick([0, 1, 16, 31, 32, 33, 64, 65, 128, 129, 256])
  switch (random.below(depth > 3 ? 6 : 8)) {
    case 0:
      return random.pick([0, 1, 2, 3, 64, 65, 200, signedAtMs, Number.MAX_SAFE_INTEGER, -1, -7, -8])
    case 1:
      return random.pick([
        '',
        'none',
        'api-key',
        'exact',
        'identity',
        'complete',
        'timeout',
        'provider',
        'ü'.repeat(64),
        '😀',
      ])
    case 2:
      return 'a'.repeat(length)
    case 3:
      return random.pick([null, true, false])
    case 4:
    case 5:
      return random.bytes(length)
    case 6:
      return Array.from({ length: random.below(4) }, () => oddValue(random, depth + 1))
    default:
      return new Map(
        Array.from({ length: random.below(4) }, (_, index) => [
          random.pick<CborKey>([index, 'bytes', 'sha256', `k${index}`]),
          oddValue(random, depth + 1),
        ]),
      )
  }
}

function choosePolicy(random: Random): RandomCase['policy'] {
  switch (random.below(6)) {
    case 0:
      return 'production'
    case 1: {
      const name = random.pick([
        'policy',
        'name',
        'require',
        'evidence',
        'issuers',
        'maxAgeMs',
        'maxClockSkewMs',
        'other',
      ])
      const value = random.pick([
        0,
        1,
        -1,
        null,
        'any',
        '',
        [],
        ['claims'],
        ['claims', 'nonce'],
        ['gateway.example'],
        {},
        [{ kind: 'simulated', roots: [] }],
        86_400_001,
        true,
      ])
      return policyFile({ [name]: value })
    }
    case 2:
      return mutateBytes(policyFile({}), random)
    default:
      return 'default'
  }
}

function chooseHeld(call: SampleCall, random: Random): Held {
  const end = random.below(call.response.length + 2)
  return random.pick<Held>([
    {},
    {},
    { request: call.request },
    { request: mutateBytes(call.request, random) },
    { response: call.response },
    { response: mutateBytes(call.response, random) },
    { response: call.response.slice(0, end), responseIsPrefix: true },
    {
      response: streamCall.response.slice(0, random.pick([0, 48, 64, end])),
      responseIsPrefix: true,
    },
    { nonce: call.nonce ?? new Uint8Array(1), request: call.request },
    { nonce: new Uint8Array(0) },
  ])
}
