/** ST5.7 to ST5.9: answers of `/v1/attestation` whose keys are held, and those of which one is not. */
import { createHmac } from 'node:crypto'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  confirmationContexts,
  p256SpkiPrefix,
} from '@countersign/protocol/receipt/key-confirmation'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import {
  addressOf,
  judgeStoredAnswer,
  signByAddress,
  type StoredAnswerCase,
} from '../attestation-answer.ts'
import { remove, set } from '../edits.ts'
import { forgeBundle, type Edit, type Forgery } from '../forge.ts'
import { x25519Agree, x25519Public } from '../hpke.ts'
import { policyFile } from '../policy-file.ts'
import { jsonCall, signedAtMs } from '../sample-call.ts'
import { seededBytes, seededSigner } from '../signers.ts'

type Json = Readonly<Record<string, unknown>>
type Expected = { readonly check: string; readonly detail: string }
type Row = {
  readonly name: string
  readonly clause?: string
  readonly forgery?: Forgery
  readonly document?: Edit
  readonly top?: Json
  readonly evidence?: Json
  readonly confirmations?: Json
  readonly answer?: Uint8Array
  readonly policy?: string
  readonly now?: number
  readonly hasShare?: boolean
  /** The first check that is not as in a good answer; absent where all are. */
  readonly expect?: Expected
}

const nonce = seededBytes('evidence nonce')
const sharePrivateKey = seededBytes('answer/share')
const share = x25519Public(sharePrivateKey)
const hpkePrivateKey = seededBytes('answer/hpke')
const settlementKey = seededBytes('answer/settlement')
const receiptKey = seededSigner('receipt')
const tlsKey = seededSigner('answer tls')
const stranger = seededSigner('stranger')
const hourMs = 3_600_000
const noBytes = new Uint8Array(0)

/**
 * All cases.
 *
 * @throws Error when something else comes out than the author of a case named.
 */
export async function answerCases(): Promise<readonly StoredAnswerCase[]> {
  const stored: StoredAnswerCase[] = []
  for (const row of [
    ...goodRows(),
    ...formRows(),
    ...confirmationRows(),
    ...keysetRows(),
    ...termsRows(),
  ]) {
    const given = toGiven(row)
    const expect = await judgeStoredAnswer(given)
    refuseSurprise(row, expect.checks)
    stored.push({ ...given, expect })
  }
  return stored
}

function toGiven(row: Row): Omit<StoredAnswerCase, 'expect'> {
  const { name, clause = 'ST5.8', policy = 'default', now = signedAtMs, hasShare = true } = row
  return {
    name,
    clause,
    answer: toBase64url(row.answer ?? answerOf(row)),
    policy,
    now,
    nonce: toHex(nonce),
    ...(hasShare ? { sharePrivateKey: toHex(sharePrivateKey) } : {}),
  }
}

/** Reasons of checks that stay open in every good answer. */
const usual = new Set(['any-issuer', 'any-allowed'])

function refuseSurprise({ name, expect }: Row, checks: StoredAnswerCase['expect']['checks']): void {
  const odd = checks.find(([, , detail]) => detail !== '' && !usual.has(detail))
  const isMeant =
    expect === undefined
      ? odd === undefined
      : checks.some(([id, , detail]) => id === expect.check && detail === expect.detail)
  if (!isMeant) throw new Error(`answer "${name}": ${JSON.stringify(checks)}`)
}

/** An answer as a gateway with every kind of key gives it, with these faults. */
function answerOf({ forgery = {}, document, top, evidence, confirmations }: Row): Uint8Array {
  const keys: Edit = (fields) => {
    set(10, addressOf(settlementKey))(fields)
    set(11, sha256(concatBytes(p256SpkiPrefix, tlsKey.publicKey)))(fields)
    set(12, x25519Public(hpkePrivateKey))(fields)
    document?.(fields)
  }
  const bundle = parseBundle(forgeBundle(jsonCall, { document: keys, ...forgery }))
  const [held] = bundle.evidence
  const messageOf = (context: string): Uint8Array =>
    concatBytes(encodeUtf8(context), digestOf(bundle.keyset), nonce)
  const answer = {
    keyset: toBase64url(bundle.keyset),
    evidence: {
      kind: held?.kind,
      nonce: toBase64url(held?.nonce ?? noBytes),
      data: toBase64url(held?.data ?? noBytes),
      ...evidence,
    },
    confirmations: {
      receipt: toBase64url(receiptKey.sign(messageOf(confirmationContexts.receipt))),
      settlement: toBase64url(
        signByAddress(settlementKey, messageOf(confirmationContexts.settlement)),
      ),
      tls: {
        key: toBase64url(tlsKey.publicKey),
        signature: toBase64url(tlsKey.sign(messageOf(confirmationContexts.tls))),
      },
      hpke: toBase64url(macOf(messageOf(confirmationContexts.hpke))),
      ...confirmations,
    },
    ...top,
  }
  return encodeUtf8(JSON.stringify(answer))
}

function macOf(message: Uint8Array, secret = x25519Agree(hpkePrivateKey, share)): Uint8Array {
  const mac = createHmac('sha256', secret ?? noBytes).update(concatBytes(message, share))
  return Uint8Array.from(mac.digest())
}

function digestOf(keyset: Uint8Array): Uint8Array {
  return parseStatement(keyset).payload.keysetDigest
}

function without(...keys: readonly number[]): Edit {
  return (fields) => {
    for (const key of keys) remove(key)(fields)
  }
}

function goodRows(): readonly Row[] {
  return [
    { name: 'an answer whose every key is held', clause: 'ST5.7' },
    {
      name: 'an answer of a gateway that has but a receipt key',
      document: without(10, 11, 12),
      expect: { check: 'confirm-settlement', detail: 'not-given' },
    },
    {
      name: 'an answer to a question without a share',
      hasShare: false,
      expect: { check: 'confirm-hpke', detail: 'not-given' },
    },
    {
      name: 'a policy that lists the build',
      policy: withPolicy({ builds: [toHex(seededBytes('build'))] }),
    },
  ]
}

function withPolicy(part: Json): string {
  return `b64:${toBase64url(policyFile(part))}`
}

function formRows(): readonly Row[] {
  const form = (name: string, detail: string, part: Partial<Row>): Row => ({
    name,
    clause: 'ST5.7',
    ...part,
    expect: { check: 'answer', detail },
  })
  return [
    form('no JSON', 'bundle-not-json', { answer: encodeUtf8('{') }),
    form('a list', 'bundle-malformed', { answer: encodeUtf8('[]') }),
    form('a member more', 'bundle-malformed', { top: { more: 1 } }),
    form('no confirmations', 'bundle-malformed', { top: { confirmations: undefined } }),
    form('evidence in a list', 'bundle-malformed', { top: { evidence: [] } }),
    form('a kind of no bytes', 'bundle-malformed', { evidence: { kind: '' } }),
    form('no confirmation of the receipt key', 'bundle-malformed', {
      confirmations: { receipt: undefined },
    }),
    form('an unknown confirmation', 'bundle-malformed', { confirmations: { witness: '' } }),
    form('a TLS confirmation in one text', 'bundle-malformed', { confirmations: { tls: '' } }),
    form('a number for a text', 'bundle-malformed', { confirmations: { hpke: 1 } }),
    form('padding, and a number for a text', 'bundle-malformed', {
      top: { keyset: 'AA==' },
      confirmations: { hpke: 1 },
    }),
    form('padding', 'bundle-base64', { confirmations: { receipt: 'AA==' } }),
  ]
}

const confirming = (
  kind: string,
  name: string,
  confirmed: unknown,
  detail = 'signature-invalid',
): Row => ({
  name,
  confirmations: { [kind]: confirmed },
  expect: { check: `confirm-${kind}`, detail },
})

const ones = (length: number): string => toBase64url(new Uint8Array(length).fill(1))

function confirmationRows(): readonly Row[] {
  const wrong = toBase64url(receiptKey.sign(encodeUtf8('something else')))
  const tls = toBase64url(tlsKey.publicKey)
  return [
    confirming('receipt', 'another message under the receipt key', wrong),
    confirming('receipt', 'a receipt signature of 63 bytes', ones(63), 'cose-signature-malformed'),
    confirming(
      'receipt',
      'another key in place of the receipt key',
      toBase64url(stranger.sign(encodeUtf8('x'))),
    ),
    confirming('settlement', 'no confirmation of the settlement key', undefined),
    confirming(
      'settlement',
      'another settlement key',
      toBase64url(signByAddress(seededBytes('answer/other'), encodeUtf8('x'))),
    ),
    confirming('settlement', 'a settlement signature of 64 bytes', ones(64)),
    confirming('settlement', 'a settlement signature without a parity', ones(65)),
    confirming('tls', 'no confirmation of the TLS key', undefined, 'keyset-key-not-listed'),
    confirming(
      'tls',
      'another TLS key',
      { key: toBase64url(stranger.publicKey), signature: wrong },
      'keyset-key-not-listed',
    ),
    confirming('tls', 'another message under the TLS key', {
      key: tls,
      signature: toBase64url(tlsKey.sign(encodeUtf8('x'))),
    }),
    confirming(
      'tls',
      'a TLS signature of no bytes',
      { key: tls, signature: '' },
      'cose-signature-malformed',
    ),
    confirming('hpke', 'no confirmation of the HPKE key', undefined),
    confirming('hpke', 'another MAC', toBase64url(nonce)),
    {
      name: 'an HPKE key of low order, whatever confirms it',
      document: set(12, new Uint8Array(32)),
      confirmations: { hpke: toBase64url(macOf(noBytes, new Uint8Array(32))) },
      expect: { check: 'confirm-hpke', detail: 'signature-invalid' },
    },
  ]
}

function keysetRows(): readonly Row[] {
  const beginMs = signedAtMs - hourMs
  const strict = withPolicy({ maxClockSkewMs: 500 })
  const date = (name: string, now: number, expect?: Expected): Row => ({
    name,
    clause: 'ST5.9',
    policy: strict,
    now,
    ...(expect === undefined ? {} : { expect }),
  })
  const outside = { check: 'keyset-validity', detail: 'keyset-not-valid-at-time' }
  return [
    date('the skew before its begin', beginMs - 500),
    date('before that', beginMs - 501, outside),
    date('its last moment', beginMs + 24 * hourMs),
    date('after its end', beginMs + 24 * hourMs + 1, outside),
    {
      name: 'the skew before the begin of a keyset that is shorter than the skew',
      clause: 'ST5.9',
      document: set(5, beginMs + 2 * hourMs),
      policy: withPolicy({ maxClockSkewMs: 24 * hourMs }),
      now: beginMs - hourMs,
    },
    {
      name: 'evidence for another nonce',
      clause: 'ST5.7',
      evidence: { nonce: toBase64url(share) },
      expect: { check: 'nonce', detail: 'nonce-mismatch' },
    },
    {
      name: 'no statement in place of the keyset',
      clause: 'ST5.9',
      top: { keyset: 'AAAA' },
      expect: { check: 'keyset', detail: 'cose-malformed' },
    },
    {
      name: 'a keyset that another key signed',
      clause: 'ST5.9',
      forgery: { keyset: { signer: stranger } },
      expect: { check: 'keyset-signature', detail: 'signature-invalid' },
    },
  ]
}

function termsRows(): readonly Row[] {
  return [
    {
      name: 'an issuer that the policy does not list',
      clause: 'ST5.9',
      policy: withPolicy({ issuers: ['another.example'] }),
      expect: { check: 'issuer', detail: 'issuer-not-allowed' },
    },
    {
      name: 'evidence of a kind that is not known',
      clause: 'ST5.9',
      evidence: { kind: 'unheard' },
      expect: { check: 'evidence-chain', detail: 'unknown-kind' },
    },
    {
      name: 'evidence that is none',
      clause: 'ST5.9',
      evidence: { data: '' },
      expect: { check: 'evidence-chain', detail: 'evidence-malformed' },
    },
    {
      name: 'simulated evidence under the production policy',
      clause: 'ST5.9',
      policy: 'production',
      expect: { check: 'evidence-accepted', detail: 'evidence-kind-refused' },
    },
    {
      name: 'another build than the policy lists',
      clause: 'ST5.9',
      policy: withPolicy({ builds: ['ab'.repeat(32)] }),
      expect: { check: 'build', detail: 'build-not-allowed' },
    },
    {
      name: 'another configuration than the policy lists',
      clause: 'ST5.9',
      policy: withPolicy({ configurations: ['ab'.repeat(32)] }),
      expect: { check: 'configuration', detail: 'configuration-not-allowed' },
    },
    {
      name: 'a host that the policy does not list',
      clause: 'ST5.9',
      policy: withPolicy({ upstreams: ['api.example'] }),
      expect: { check: 'upstreams', detail: 'upstream-not-allowed' },
    },
    {
      name: 'a policy that asks for a build and lists none',
      clause: 'ST5.9',
      policy: withPolicy({ require: ['build', 'charge', 'proofs'] }),
    },
    {
      name: 'a policy that is none',
      clause: 'ST5.9',
      policy: `b64:${toBase64url(encodeUtf8('{}'))}`,
      expect: { check: 'policy', detail: 'policy-malformed' },
    },
  ]
}
