/** Judges all vectors with nothing but what browsers and every Node have: bundled once, run everywhere. */
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { fromBase64url, fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { ProtocolError } from '@countersign/protocol/errors'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import type { StoredCase } from '../vectors/bundle-case.ts'
import type { CborCase } from '../vectors/cases/cbor.ts'

/** What a run time found: all that came out, and the names of the vectors where that is not what is expected. */
export type RuntimeReport = {
  readonly outcomes: readonly string[]
  readonly wrong: readonly string[]
}

/** Judges the texts of `vectors/cbor.json` and `vectors/bundles.json`. */
export async function judgeVectors(cborText: string, bundlesText: string): Promise<RuntimeReport> {
  const cborCases: readonly CborCase[] = JSON.parse(cborText)
  const bundleCases: readonly StoredCase[] = JSON.parse(bundlesText)
  const outcomes: string[] = []
  const wrong: string[] = []
  const record = (name: string, outcome: unknown, expected: unknown): void => {
    const text = JSON.stringify(outcome)
    outcomes.push(text)
    if (text !== JSON.stringify(expected)) wrong.push(name)
  }
  for (const given of cborCases) record(given.name, judgeCbor(given), given.expect)
  for (const given of bundleCases) record(given.name, await judgeBundle(given), given.expect)
  return { outcomes, wrong }
}

function judgeCbor({ input, limitBytes }: CborCase): unknown {
  try {
    const decoded = decodeCbor(decode(fromHex(input)), limitBytes)
    return { ok: toHex(encodeCbor(decoded)) === input }
  } catch (error) {
    if (error instanceof ProtocolError) return { code: error.code }
    throw error
  }
}

async function judgeBundle(given: StoredCase): Promise<StoredCase['expect']> {
  const { request, response, nonce, responseIsPrefix } = given.held
  const bytes = decode(fromBase64url(given.bundle))
  const padded = new Uint8Array(bytes.length + (given.trailingSpaces ?? 0)).fill(0x20)
  padded.set(bytes)
  const { verdict, level, checks } = await verify(padded, policyOf(given.policy), given.now, {
    ...(typeof request === 'string' ? { request: decode(fromBase64url(request)) } : {}),
    ...(typeof response === 'string' ? { response: decode(fromBase64url(response)) } : {}),
    ...(typeof nonce === 'string' ? { nonce: decode(fromBase64url(nonce)) } : {}),
    ...(responseIsPrefix === true ? { responseIsPrefix } : {}),
  })
  return {
    verdict,
    level,
    checks: checks.map((check) => {
      if (check.status === 'passed') return [check.id, check.status, '']
      return [check.id, check.status, check.status === 'failed' ? check.code : check.reason]
    }),
  }
}

function policyOf(policy: string): Uint8Array {
  if (policy === 'default') return defaultPolicy
  return policy === 'production' ? productionPolicy : decode(fromBase64url(policy.slice(4)))
}

function decode(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error('a vector is not encoded as it should be')
  return bytes
}
