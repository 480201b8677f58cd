/** Compares what a keyset says of its gateway with what the policy lists (spec/bundle.md checks 23 to 25). */
import { toHex } from '../bytes/text-encoding.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import { upstreamHostOf, type DisclosedClaims } from '../receipt/call-claims.ts'
import type { Keyset } from '../receipt/keyset.ts'
import type { SignedKeyset } from './check-evidence.ts'
import type { Policy } from './policy.ts'
import { need, NotChecked, type CheckResult, type CheckRun } from './verdict.ts'

/** Runs the three checks: which code, which configuration, and where calls can go. */
export async function checkTerms(
  run: Pick<CheckRun, 'check'>,
  input: {
    readonly keyset: CheckResult<SignedKeyset>
    readonly policy: CheckResult<Policy>
    readonly claims: CheckResult<DisclosedClaims>
  },
): Promise<void> {
  const keyset = (): Keyset => need(input.keyset).keyset
  const policy = (): Policy => need(input.policy)
  await run.check(
    'build',
    'BU3.17',
    () => checkDigest(keyset().buildDigest, policy().builds, 'build-not-allowed'),
    (digest) => digest,
  )
  await run.check(
    'configuration',
    'BU3.17',
    () => checkDigest(keyset().configDigest, policy().configurations, 'configuration-not-allowed'),
    (digest) => digest,
  )
  await run.check(
    'upstreams',
    'BU3.18',
    () => checkUpstreams(keyset().upstreams, upstreamHostOf(need(input.claims)), policy()),
    (hosts) => hosts.join(', '),
  )
}

function checkDigest(digest: Uint8Array, allowed: Policy['builds'], code: ErrorCode): string {
  if (allowed === 'any') throw new NotChecked('any-allowed')
  const text = toHex(digest)
  if (!allowed.has(text)) throw new ProtocolError(code)
  return text
}

/** A keyset that lists no hosts leaves open where its gateway forwards to. */
function checkUpstreams(
  listed: Keyset['upstreams'],
  called: string | undefined,
  { upstreams: allowed }: Policy,
): readonly string[] {
  if (listed !== undefined && called !== undefined && !listed.includes(called)) {
    throw new ProtocolError('upstream-not-listed')
  }
  if (allowed === 'any') throw new NotChecked('any-allowed')
  if (listed === undefined || !listed.every((host) => allowed.has(host))) {
    throw new ProtocolError('upstream-not-allowed')
  }
  return listed
}
