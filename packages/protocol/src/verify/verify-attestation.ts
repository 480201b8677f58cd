/** Judges the answer of `/v1/attestation`: which keys a gateway holds now, and what stands behind them (ST5.7 to ST5.9). */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8, equalBytes } from '../bytes/byte-string.ts'
import { fromBase64url } from '../bytes/text-encoding.ts'
import { decodeJson } from '../bytes/json-decode.ts'
import { openMap, type MapReader } from '../bytes/map-reader.ts'
import type { EvidenceVerdict } from '../attestation/judge-evidence.ts'
import { judgeEs256 } from '../crypto/es256.ts'
import { sha256 } from '../crypto/sha256.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import { confirmationContexts, p256SpkiPrefix } from '../receipt/key-confirmation.ts'
import type { Keyset } from '../receipt/keyset.ts'
import type { Evidence } from './bundle.ts'
import { checkEvidence, type EvidenceVerifier } from './check-evidence.ts'
import {
  checkDates,
  checkIssuer,
  checkPossession,
  parseKeysetStatement,
  type KeysetStatement,
} from './check-keyset.ts'
import { checkTerms } from './check-terms.ts'
import { parsePolicy, type CheckId, type Policy } from './policy.ts'
import {
  attestedBy,
  createCheckRun,
  levelOfEvidence,
  need,
  NotChecked,
  type Check,
  type CheckResult,
  type CheckRun,
  type Level,
  type Verdict,
} from './verdict.ts'

/** The name of a check of an attestation. */
export type AttestationCheckId =
  | CheckId
  | 'answer'
  | 'confirm-receipt'
  | 'confirm-settlement'
  | 'confirm-tls'
  | 'confirm-hpke'

/** What the caller asked with, and what it can compute that this package cannot. */
export type AttestationQuestion = {
  /** The 32 bytes that were sent. */
  readonly nonce: Uint8Array
  /** The X25519 share that was sent, and the secret that it makes with 32 bytes; `undefined` when they are no public key. */
  readonly exchange?: {
    readonly share: Uint8Array
    agree(publicKey: Uint8Array): Promise<Uint8Array | undefined>
  }
  /** Whether this address signed this message by EIP-191; the curve is the caller's. */
  readonly signedByAddress?: (
    address: string,
    message: Uint8Array,
    signature: Uint8Array,
  ) => Promise<boolean>
}

/** The verdict about an attestation. `keyset` stands only when the verdict is `valid`. */
export type AttestationVerdict = {
  readonly verdict: Verdict['verdict']
  readonly level: Level
  readonly policy: string
  readonly checks: readonly Check<AttestationCheckId>[]
  readonly keyset?: Keyset
  readonly evidence?: EvidenceVerdict
}

/** Most bytes of an answer. */
export const maxAttestationBytes = 1_048_576

const malformed: ErrorCode = 'bundle-malformed'

/** A confirmation that is missing is one of no bytes. */
type Answer = {
  readonly keyset: Uint8Array
  readonly evidence: readonly [Evidence]
  readonly receipt: Uint8Array
  readonly settlement: Uint8Array
  readonly tls: { readonly key: Uint8Array; readonly signature: Uint8Array }
  readonly hpke: Uint8Array
}

/**
 * Judges an answer.
 *
 * @param answerBytes - the body of the answer.
 * @param policyBytes - a policy of receipts; its checks about calls are not asked here.
 * @returns the verdict; whatever the bytes are, this does not throw.
 * @throws Error in a page without WebCrypto, where nothing can be judged.
 */
export async function verifyAttestation(
  answerBytes: Uint8Array,
  policyBytes: Uint8Array,
  nowMs: number,
  question: AttestationQuestion,
  judgeEvidence?: EvidenceVerifier,
): Promise<AttestationVerdict> {
  const run = createCheckRun<AttestationCheckId>()
  const policy = await run.check('policy', 'BU2', () => parsePolicy(policyBytes))
  const answer = await run.check('answer', 'ST5.7', () => parseAnswer(answerBytes))
  const keyset = await run.check('keyset', 'ST1–ST4', () =>
    parseKeysetStatement(need(answer).keyset),
  )
  await run.check('keyset-signature', 'ST2.4, ST4.3', () => checkPossession(need(keyset)))
  await run.check('keyset-validity', 'ST5.9', () => {
    checkNow(need(keyset).keyset, need(policy).maxClockSkewMs, nowMs)
  })
  await run.check('issuer', 'BU3.5', () => checkIssuer(need(keyset).keyset, need(policy)))
  await run.check('nonce', 'ST5.7', () => {
    if (!equalBytes(need(answer).evidence[0].nonce, question.nonce)) {
      throw new ProtocolError('nonce-mismatch')
    }
  })
  // Its nonce makes it as new as the question, however old the keyset is.
  const input = { bundle: answer, keyset, policy, asOfMs: nowMs }
  const evidence = await checkEvidence(run, input, judgeEvidence)
  await checkConfirmations(run, { answer, keyset }, question)
  await checkTerms(run, { keyset, policy, claims: { value: new Map() } })
  const asked = judgeEvidence === undefined ? [] : attestedBy
  const verdict = conclude(run, policy?.value, asked)
  return {
    verdict,
    level: base.every((id) => run.passed(id)) ? levelOfEvidence(run, evidence) : 'none',
    policy: policy?.value.name ?? '',
    checks: run.checks,
    ...(keyset === undefined || verdict !== 'valid' ? {} : { keyset: keyset.value.keyset }),
    ...(evidence === undefined ? {} : { evidence }),
  }
}

const base: readonly AttestationCheckId[] = [
  'answer',
  'keyset',
  'keyset-signature',
  'keyset-validity',
  'nonce',
  'confirm-receipt',
]

/** What the policy requires of calls alone is not asked of an attestation. */
function conclude(
  run: CheckRun<AttestationCheckId>,
  policy: Policy | undefined,
  also: readonly CheckId[],
): AttestationVerdict['verdict'] {
  if (policy === undefined || run.checks.some(({ status }) => status === 'failed')) return 'invalid'
  const asked = new Set<string>([...base, ...also, ...policy.require])
  const isComplete = run.checks.every(({ id, status }) => status === 'passed' || !asked.has(id))
  return isComplete ? 'valid' : 'incomplete'
}

/** Members, no others: keyset, evidence, confirmations (ST5.7). */
function parseAnswer(bytes: Uint8Array): Answer {
  if (bytes.length > maxAttestationBytes) throw new ProtocolError('bundle-too-large')
  const json = decodeJson(bytes)
  if (json === undefined) throw new ProtocolError('bundle-not-json')
  const fields = openMap(json, ['keyset', 'evidence', 'confirmations'], [], malformed)
  const evidence = openMap(fields.value('evidence'), ['kind', 'nonce', 'data'], [], malformed)
  const confirmations = openMap(
    fields.value('confirmations'),
    ['receipt'],
    ['settlement', 'tls', 'hpke'],
    malformed,
  )
  const tls = confirmations.has('tls')
    ? openMap(confirmations.value('tls'), ['key', 'signature'], [], malformed)
    : undefined
  const optional = (name: string): string =>
    confirmations.has(name) ? textOf(confirmations, name) : ''
  // All texts first, and then what they encode: the order of BU1.3.
  const texts = {
    keyset: textOf(fields, 'keyset'),
    kind: evidence.text('kind', 1, 64),
    nonce: textOf(evidence, 'nonce'),
    data: textOf(evidence, 'data'),
    receipt: textOf(confirmations, 'receipt'),
    settlement: optional('settlement'),
    tlsKey: tls === undefined ? '' : textOf(tls, 'key'),
    tlsSignature: tls === undefined ? '' : textOf(tls, 'signature'),
    hpke: optional('hpke'),
  }
  return {
    keyset: toBytes(texts.keyset),
    evidence: [{ kind: texts.kind, nonce: toBytes(texts.nonce), data: toBytes(texts.data) }],
    receipt: toBytes(texts.receipt),
    settlement: toBytes(texts.settlement),
    tls: { key: toBytes(texts.tlsKey), signature: toBytes(texts.tlsSignature) },
    hpke: toBytes(texts.hpke),
  }
}

function textOf(fields: MapReader, name: string): string {
  return fields.text(name, 0, maxAttestationBytes)
}

function toBytes(text: string): Uint8Array {
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new ProtocolError('bundle-base64')
  return bytes
}

/** A keyset of yesterday proves nothing about now; one of tomorrow was made by a clock that is wrong. */
function checkNow(keyset: Keyset, skewMs: number, nowMs: number): void {
  const { notBeforeMs } = keyset
  checkDates(nowMs < notBeforeMs ? Math.min(nowMs + skewMs, notBeforeMs) : nowMs, keyset)
}

/** Each key of the keyset is in use now: whoever answers holds it (ST5.8). */
async function checkConfirmations(
  run: CheckRun<AttestationCheckId>,
  input: { readonly answer: CheckResult<Answer>; readonly keyset: CheckResult<KeysetStatement> },
  { nonce, exchange, signedByAddress }: AttestationQuestion,
): Promise<void> {
  const messageOf = (context: string): Uint8Array =>
    concatBytes(encodeUtf8(context), need(input.keyset).payload.keysetDigest, nonce)
  const clause = 'ST5.8'
  await run.check('confirm-receipt', clause, async () => {
    const { receiptKey } = need(input.keyset).keyset
    const message = messageOf(confirmationContexts.receipt)
    refuse(await judgeEs256(receiptKey, message, need(input.answer).receipt))
  })
  await run.check('confirm-settlement', clause, async () => {
    const { settlementAddress } = need(input.keyset).keyset
    if (settlementAddress === undefined || signedByAddress === undefined) {
      throw new NotChecked('not-given')
    }
    const message = messageOf(confirmationContexts.settlement)
    const { settlement } = need(input.answer)
    const isSigned = await signedByAddress(settlementAddress, message, settlement)
    refuse(isSigned ? undefined : 'signature-invalid')
  })
  await run.check('confirm-tls', clause, async () => {
    const { tlsSpki } = need(input.keyset).keyset
    if (tlsSpki === undefined) throw new NotChecked('not-given')
    const { key, signature } = need(input.answer).tls
    const isListed = equalBytes(sha256(concatBytes(p256SpkiPrefix, key)), tlsSpki)
    refuse(isListed ? undefined : 'keyset-key-not-listed')
    refuse(await judgeEs256(key, messageOf(confirmationContexts.tls), signature))
  })
  await run.check('confirm-hpke', clause, async () => {
    const { hpkeKey } = need(input.keyset).keyset
    if (hpkeKey === undefined || exchange === undefined) throw new NotChecked('not-given')
    const message = concatBytes(messageOf(confirmationContexts.hpke), exchange.share)
    const secret = await exchange.agree(hpkeKey)
    // A key that makes zero makes it with every share: who confirms holds nothing.
    const isSecret = secret !== undefined && secret.some((byte) => byte !== 0)
    const isHeld =
      isSecret && equalBytes(hmac(nobleSha256, secret, message), need(input.answer).hpke)
    refuse(isHeld ? undefined : 'signature-invalid')
  })
}

function refuse(code: ErrorCode | undefined): void {
  if (code !== undefined) throw new ProtocolError(code)
}
