/** The one verifier: judges a bundle by spec/bundle.md BU3, offline. Bad evidence never throws. */
import { equalBytes } from '../bytes/byte-string.ts'
import { toHex } from '../bytes/text-encoding.ts'
import type { EvidenceVerdict } from '../attestation/judge-evidence.ts'
import { ProtocolError } from '../errors.ts'
import {
  checkClaimShapes,
  checkClaimsPresent,
  checkIdentity,
  modelOf,
  priceOf,
  routedModelOf,
  streamOf,
  type DisclosedClaims,
} from '../receipt/call-claims.ts'
import { openClaims } from '../receipt/claims.ts'
import { judgeCoseSignature, keyId } from '../receipt/cose.ts'
import { chainDigests } from '../receipt/event-chain.ts'
import type { Keyset } from '../receipt/keyset.ts'
import type { CallPayload } from '../receipt/payload.ts'
import { judgeServedModel } from '../receipt/served-model.ts'
import { parseStatement, type ParsedStatement } from '../receipt/statement.ts'
import { parseBundle, type Bundle } from './bundle.ts'
import { checkEvidence, type EvidenceVerifier } from './check-evidence.ts'
import {
  checkDates,
  checkIssuer,
  checkPossession,
  parseKeysetStatement,
  type KeysetStatement,
} from './check-keyset.ts'
import { checkTerms } from './check-terms.ts'
import { checkChain, checkRequestHeld, checkResponseHeld, type Held } from './held-bytes.ts'
import { parsePolicy, type CheckId, type Policy } from './policy.ts'
import {
  attestedBy,
  createCheckRun,
  levelOfEvidence,
  need,
  NotChecked,
  type CheckRun,
  type Verdict,
} from './verdict.ts'

type CallStatement = ParsedStatement & { readonly payload: CallPayload }
const base: readonly CheckId[] = [
  'policy',
  'bundle',
  'statement',
  'keyset',
  'keyset-signature',
  'keyset-binding',
  'signature',
  'keyset-validity',
  'time',
]

/**
 * Judges a bundle.
 *
 * @param bundleBytes - the file `*.countersign.json`.
 * @param policyBytes - a policy file, or `defaultPolicy`, `productionPolicy`.
 * @param nowMs - the time to judge at, milliseconds since the Unix epoch.
 * @param held - what the caller holds of the call; the checks of what is given become required.
 * @param judgeEvidence - judges evidence of hardware (`createEvidenceVerifier`); without it such evidence stays open,
 *   with it the checks of evidence become required.
 * @returns the verdict; whatever the bytes are, this does not throw.
 * @throws Error in a page without WebCrypto (not https, not localhost), where nothing can be judged.
 */
export async function verify(
  bundleBytes: Uint8Array,
  policyBytes: Uint8Array,
  nowMs: number,
  held: Held = {},
  judgeEvidence?: EvidenceVerifier,
): Promise<Verdict> {
  const run = createCheckRun()
  const policy = await run.check(
    'policy',
    'BU2',
    () => parsePolicy(policyBytes),
    ({ name }) => name,
  )
  const bundle = await run.check('bundle', 'BU1', () => parseBundle(bundleBytes))
  const statement = await run.check(
    'statement',
    'ST1–ST3, RC2',
    () => parseCallStatement(need(bundle)),
    ({ payload }) => `${payload.type} ${toHex(payload.id)}`,
  )
  const keyset = await run.check('keyset', 'ST1–ST4', () =>
    parseKeysetStatement(need(bundle).keyset),
  )
  await run.check('keyset-signature', 'ST2.4, ST4.3', () => checkPossession(need(keyset)))
  const binding = await run.check('keyset-binding', 'ST4.4', () =>
    checkBinding(need(statement), need(keyset)),
  )
  await run.check('signature', 'ST2.4', () => checkSignature(need(binding)))
  await run.check('keyset-validity', 'ST4.5', () => checkValidity(need(binding)))
  await run.check('time', 'BU3.4', () => {
    checkTime(need(statement).payload.timeMs, need(policy), nowMs)
  })
  await run.check(
    'issuer',
    'BU3.5',
    () => checkIssuer(need(keyset).keyset, need(policy)),
    (issuer) => issuer,
  )
  const claims = await run.check(
    'claims',
    'RC3',
    () => openClaims(need(bundle).claims, need(statement).payload),
    ({ size }) => `${size} disclosed`,
  )
  await run.check('meaning', 'RC4', () => {
    checkMeaning(need(bundle), need(statement).payload, need(claims))
  })
  await run.check(
    'charge',
    'RC2.5, RC2.6',
    () => checkCharge(need(statement).payload, need(claims)),
    (amountAtomic) => `${amountAtomic} atomic units`,
  )
  await run.check(
    'served-model',
    'RC4.10',
    () => checkServedModel(need(bundle), need(statement).payload, need(claims), need(policy)),
    (detail) => detail,
  )
  const evidence = await checkEvidence(run, { bundle, keyset, policy }, judgeEvidence)
  await run.check('nonce', 'BU3.7', () => checkNonce(need(statement).payload, held.nonce))
  await run.check('request-bytes', 'BU3.8', () => checkRequestHeld(need(claims), held))
  await run.check('response-bytes', 'BU3.8', () =>
    checkResponseHeld(need(claims), need(bundle), held),
  )
  await run.check('proofs', 'BU3.9', () => {
    if (need(bundle).proofs.length > 0) throw new NotChecked('unknown-kind')
  })
  await checkTerms(run, { keyset, policy, claims })
  const asked = judgeEvidence === undefined ? [] : attestedBy
  return conclude(run, policy?.value, held, asked, evidence)
}

function parseCallStatement(bundle: Bundle): CallStatement {
  const statement = parseStatement(bundle.statement)
  const { payload } = statement
  if (payload.type === 'keyset') throw new ProtocolError('payload-type-unsupported')
  return { ...statement, payload }
}

type Bound = { readonly statement: CallStatement; readonly keyset: Keyset }

function checkBinding(statement: CallStatement, { payload, keyset }: KeysetStatement): Bound {
  if (!equalBytes(statement.payload.keysetDigest, payload.keysetDigest)) {
    throw new ProtocolError('keyset-digest-mismatch')
  }
  if (!equalBytes(statement.kid, keyId(keyset.receiptKey))) {
    throw new ProtocolError('keyset-key-not-listed')
  }
  if (statement.issuer !== keyset.issuer) throw new ProtocolError('keyset-issuer-mismatch')
  return { statement, keyset }
}

async function checkSignature({ statement, keyset }: Bound): Promise<void> {
  const refused = await judgeCoseSignature(statement.cose, keyset.receiptKey)
  if (refused !== undefined) throw new ProtocolError(refused)
}

function checkValidity({ statement, keyset }: Bound): void {
  checkDates(statement.payload.timeMs, keyset)
}

function checkTime(timeMs: number, policy: Policy, nowMs: number): void {
  // Both comparisons are false when now is not a number: refused, not passed.
  const hasBegun = timeMs <= nowMs + policy.maxClockSkewMs
  if (!hasBegun) throw new ProtocolError('statement-in-future')
  const isFresh = policy.maxAgeMs === null || timeMs >= nowMs - policy.maxAgeMs
  if (!isFresh) throw new ProtocolError('statement-too-old')
}

/** In the order of BU3.12. */
function checkMeaning(bundle: Bundle, { type }: CallPayload, claims: DisclosedClaims): void {
  checkClaimShapes(claims)
  const allDisclosed = bundle.claims.every(({ kind }) => kind === 'claim')
  if (allDisclosed) checkClaimsPresent(type, claims)
  const judged = checkIdentity(claims)
  checkEvents(bundle.events, claims, allDisclosed)
  if (!judged && type === 'receipt') throw new NotChecked('withheld')
}

/** Digests that no signed chain stands for are refused, unless that chain may be withheld (BU3.8). */
function checkEvents(
  events: Uint8Array | undefined,
  claims: DisclosedClaims,
  allDisclosed: boolean,
): void {
  if (events === undefined) return
  const stream = streamOf(claims)
  if (stream !== undefined) checkChain(chainDigests(events), stream)
  else if (allDisclosed) throw new ProtocolError('event-chain-mismatch')
}

function checkCharge({ type, charge }: CallPayload, claims: DisclosedClaims): bigint {
  const { amountAtomic } = charge
  if (type === 'refusal') {
    if (amountAtomic !== 0n) throw new ProtocolError('refusal-charged')
    return amountAtomic
  }
  const priceAtomic = priceOf(claims)
  if (priceAtomic === undefined) throw new NotChecked('withheld')
  if (amountAtomic > priceAtomic) throw new ProtocolError('charge-exceeds-price')
  return amountAtomic
}

/** Names are the provider's word: another one is no forgery, unless the policy asks for the model itself (RC4.10). */
function checkServedModel(
  bundle: Bundle,
  { type }: CallPayload,
  claims: DisclosedClaims,
  policy: Policy,
): string {
  if (type === 'refusal') return 'nothing was served'
  const model = modelOf(claims)
  if (model === undefined) throw new NotChecked('withheld')
  const { requested, asserted: served } = model
  if (served === null) throw new NotChecked('unsaid')
  const routed = routedModelOf(claims)
  const servedAs = judgeServedModel({ requested, sent: routed ?? requested, served })
  if (servedAs === 'same' || servedAs === 'snapshot') return `${servedAs}: ${served}`
  const mayBeRouted = bundle.claims.some(({ kind }) => kind !== 'claim')
  if (routed === undefined && mayBeRouted) throw new NotChecked('withheld')
  if (servedAs === 'renamed') throw new NotChecked('renamed')
  if (policy.require.has('served-model')) throw new ProtocolError('served-model-mismatch')
  throw new NotChecked('other-model')
}

function checkNonce(payload: CallPayload, nonce: Uint8Array | undefined): void {
  if (nonce === undefined) throw new NotChecked('not-given')
  if (payload.nonce === undefined || !equalBytes(payload.nonce, nonce)) {
    throw new ProtocolError('nonce-mismatch')
  }
}

function conclude(
  run: CheckRun,
  policy: Policy | undefined,
  held: Held,
  asked: readonly CheckId[],
  evidence: EvidenceVerdict | undefined,
): Verdict {
  const required = new Set<CheckId>([...base, ...asked, ...(policy?.require ?? [])])
  if (held.nonce !== undefined) required.add('nonce')
  if (held.request !== undefined) required.add('request-bytes')
  if (held.response !== undefined) required.add('response-bytes')
  const failed = run.checks.some(({ status }) => status === 'failed')
  const complete = Array.from(required).every((id) => run.passed(id))
  return {
    verdict: failed ? 'invalid' : complete ? 'valid' : 'incomplete',
    level: base.slice(1, 8).every((id) => run.passed(id)) ? levelOfEvidence(run, evidence) : 'none',
    policy: policy?.name ?? '',
    checks: run.checks,
    ...(evidence === undefined ? {} : { evidence }),
  }
}
