/** A case of `vectors/bundles.json`: what is judged, and what the author of the case says must come out. */
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import type { ErrorCode } from '@countersign/protocol/errors'
import type { Held } from '@countersign/protocol/verify/held-bytes'
import { defaultPolicy, productionPolicy, type CheckId } from '@countersign/protocol/verify/policy'
import type { Level, NotCheckedReason, Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import { signedAtMs } from './sample-call.ts'

/** One case. `failed` lists every check that fails, `open` some that are not checked. */
export type BundleCase = {
  readonly name: string
  readonly clause: string
  readonly bundle: Uint8Array
  readonly trailingSpaces?: number
  readonly policy?: 'default' | 'production' | Uint8Array
  readonly nowMs?: number
  readonly held?: Held
  readonly verdict: Verdict['verdict']
  readonly level?: Level
  readonly failed?: Readonly<Partial<Record<CheckId, ErrorCode>>>
  readonly open?: Readonly<Partial<Record<CheckId, NotCheckedReason>>>
}

/** A case as it stands in the file. */
export type StoredCase = {
  readonly name: string
  readonly clause: string
  readonly bundle: string
  readonly trailingSpaces?: number
  readonly policy: string
  readonly now: number
  readonly held: Readonly<Record<string, string | boolean>>
  readonly expect: StoredVerdict
}

/** What is compared between implementations. */
export type StoredVerdict = {
  readonly verdict: string
  readonly level: string
  readonly checks: readonly (readonly [string, string, string])[]
}

/**
 * Judges a case and gives it as it is stored.
 *
 * @throws Error when the verdict is not the one that the author of the case named.
 */
export async function judgeCase(given: BundleCase): Promise<StoredCase> {
  const { name, clause, bundle, trailingSpaces = 0, policy = 'default', held = {} } = given
  const nowMs = given.nowMs ?? signedAtMs + 1000
  const padded = new Uint8Array(bundle.length + trailingSpaces).fill(0x20)
  padded.set(bundle)
  const verdict = await verify(padded, policyBytes(policy), nowMs, held)
  refuseSurprise(given, verdict)
  return {
    name,
    clause,
    bundle: toBase64url(bundle),
    ...(trailingSpaces === 0 ? {} : { trailingSpaces }),
    policy: typeof policy === 'string' ? policy : `b64:${toBase64url(policy)}`,
    now: nowMs,
    held: storeHeld(held),
    expect: storeVerdict(verdict),
  }
}

/** A verdict without what is only for people. */
export function storeVerdict({ verdict, level, checks }: Verdict): StoredVerdict {
  return {
    verdict,
    level,
    checks: checks.map((check) => {
      if (check.status === 'passed') return [check.id, check.status, '']
      return [check.id, check.status, check.status === 'failed' ? check.code : check.reason]
    }),
  }
}

function policyBytes(policy: 'default' | 'production' | Uint8Array): Uint8Array {
  if (policy === 'default') return defaultPolicy
  return policy === 'production' ? productionPolicy : policy
}

/** What the caller holds, as it is stored. */
export function storeHeld(held: Held): Record<string, string | boolean> {
  const stored: Record<string, string | boolean> = {}
  if (held.request !== undefined) stored['request'] = toBase64url(held.request)
  if (held.response !== undefined) stored['response'] = toBase64url(held.response)
  if (held.nonce !== undefined) stored['nonce'] = toBase64url(held.nonce)
  if (held.responseIsPrefix !== undefined) stored['responseIsPrefix'] = held.responseIsPrefix
  return stored
}

function refuseSurprise(given: BundleCase, judged: Verdict): void {
  const failed = new Map<string, string>()
  const open = new Map<string, string>()
  for (const check of judged.checks) {
    if (check.status === 'failed') failed.set(check.id, check.code)
    if (check.status === 'not-checked') open.set(check.id, check.reason)
  }
  const meant = Object.entries(given.failed ?? {})
  const isMeant =
    judged.verdict === given.verdict &&
    judged.level === (given.level ?? judged.level) &&
    failed.size === meant.length &&
    meant.every(([id, code]) => failed.get(id) === code) &&
    Object.entries(given.open ?? {}).every(([id, reason]) => open.get(id) === reason)
  if (isMeant) return
  const seen = `${judged.verdict} ${judged.level}, failed ${show(failed)}, open ${show(open)}`
  throw new Error(`vector "${given.name}" is ${seen}`)
}

function show(map: ReadonlyMap<string, string>): string {
  return Array.from(map, ([id, code]) => `${id}=${code}`).join(' ') || 'nothing'
}
