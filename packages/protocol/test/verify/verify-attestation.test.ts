import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  confirmationContexts,
  p256SpkiPrefix,
} from '@countersign/protocol/receipt/key-confirmation'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import {
  maxAttestationBytes,
  verifyAttestation,
  type AttestationQuestion,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { remove, set } from '../../../../test/vectors/edits.ts'
import { forgeBundle, type Forgery } from '../../../../test/vectors/forge.ts'
import { policyFile } from '../../../../test/vectors/policy-file.ts'
import { jsonCall, signedAtMs } from '../../../../test/vectors/sample-call.ts'
import { seededBytes, seededSigner } from '../../../../test/vectors/signers.ts'
import { bytes, runs } from '../arbitrary.ts'

const nonce = seededBytes('evidence nonce')
const share = seededBytes('share')
const secret = seededBytes('secret')
const settlementSignature = seededBytes('settlement signature')
const receiptKey = seededSigner('receipt')
const tlsKey = seededSigner('tls')
const tlsSpki = sha256(concatBytes(p256SpkiPrefix, tlsKey.publicKey))
const hourMs = 3_600_000

type Json = Readonly<Record<string, unknown>>

type Changes = {
  readonly forgery?: Forgery
  readonly top?: Json
  readonly evidence?: Json
  readonly confirmations?: Json
}

/** An answer as a gateway with every kind of key gives it, with these faults. */
function answerOf({ forgery = {}, top, evidence, confirmations }: Changes = {}): Uint8Array {
  const bundle = parseBundle(forgeBundle(jsonCall, { document: set(11, tlsSpki), ...forgery }))
  const [held] = bundle.evidence
  if (held === undefined) throw new Error('no evidence')
  const digest = keysetDigestOf(bundle.keyset)
  const messageOf = (context: string): Uint8Array => concatBytes(encodeUtf8(context), digest, nonce)
  const mac = hmac(nobleSha256, secret, concatBytes(messageOf(confirmationContexts.hpke), share))
  const answer = {
    keyset: toBase64url(bundle.keyset),
    evidence: {
      kind: held.kind,
      nonce: toBase64url(held.nonce),
      data: toBase64url(held.data),
      ...evidence,
    },
    confirmations: {
      receipt: toBase64url(receiptKey.sign(messageOf(confirmationContexts.receipt))),
      settlement: toBase64url(settlementSignature),
      tls: {
        key: toBase64url(tlsKey.publicKey),
        signature: toBase64url(tlsKey.sign(messageOf(confirmationContexts.tls))),
      },
      hpke: toBase64url(mac),
      ...confirmations,
    },
    ...top,
  }
  return encodeUtf8(JSON.stringify(answer))
}

function keysetDigestOf(keyset: Uint8Array): Uint8Array {
  // Key 6 of the payload, which stands before the document with the same digest.
  const at = keyset.findIndex(
    (byte, index) => byte === 6 && keyset[index + 1] === 0x58 && keyset[index + 2] === 32,
  )
  return keyset.slice(at + 3, at + 35)
}

const question: AttestationQuestion = {
  nonce,
  exchange: { share, agree: (key) => Promise.resolve(agreed.get(toBase64url(key)) ?? nonce) },
  signedByAddress: (address, message, signature) =>
    Promise.resolve(
      address === '0x02' &&
        new TextDecoder().decode(message).startsWith(confirmationContexts.settlement) &&
        toBase64url(signature) === toBase64url(settlementSignature),
    ),
}
const agreed = new Map([[toBase64url(seededBytes('hpke key')), secret]])

async function judge(
  answer: Uint8Array,
  policy: Uint8Array = defaultPolicy,
  asked: AttestationQuestion = question,
  nowMs: number = signedAtMs,
): Promise<AttestationVerdict> {
  return await verifyAttestation(answer, policy, nowMs, asked)
}

function endsOf({ checks }: AttestationVerdict): ReadonlyMap<string, string> {
  return new Map(
    checks.map((check) => [
      check.id,
      check.status === 'passed' ? '' : check.status === 'failed' ? check.code : check.reason,
    ]),
  )
}

test('an answer whose every key is held is valid, and gives the keyset', async () => {
  const verdict = await judge(answerOf())
  expect(endsOf(verdict)).toEqual(
    new Map([
      ['policy', ''],
      ['answer', ''],
      ['keyset', ''],
      ['keyset-signature', ''],
      ['keyset-validity', ''],
      ['issuer', 'any-issuer'],
      ['nonce', ''],
      ['evidence-chain', ''],
      ['evidence-binding', ''],
      ['evidence-measurement', ''],
      ['evidence-accepted', ''],
      ['confirm-receipt', ''],
      ['confirm-settlement', ''],
      ['confirm-tls', ''],
      ['confirm-hpke', ''],
      ['build', 'any-allowed'],
      ['configuration', 'any-allowed'],
      ['upstreams', 'any-allowed'],
    ]),
  )
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED', policy: 'default' })
  expect(verdict.keyset?.tlsSpki).toEqual(tlsSpki)
})

const flipped = (text: string): string => {
  const raw = fromBase64url(text) ?? new Uint8Array(0)
  return toBase64url(raw.map((byte, index) => (index === raw.length - 1 ? byte ^ 1 : byte)))
}
const wrongSignature = toBase64url(receiptKey.sign(encodeUtf8('something else')))
const wrongTls = { key: toBase64url(tlsKey.publicKey), signature: wrongSignature }
const refused: readonly (readonly [string, string, string, Changes])[] = [
  ['a member more', 'answer', 'bundle-malformed', { top: { more: 1 } }],
  ['no confirmations', 'answer', 'bundle-malformed', { top: { confirmations: undefined } }],
  ['evidence in a list', 'answer', 'bundle-malformed', { top: { evidence: [] } }],
  ['a kind of no bytes', 'answer', 'bundle-malformed', { evidence: { kind: '' } }],
  [
    'no receipt confirmation',
    'answer',
    'bundle-malformed',
    { confirmations: { receipt: undefined } },
  ],
  ['an unknown confirmation', 'answer', 'bundle-malformed', { confirmations: { witness: '' } }],
  ['a TLS confirmation in one text', 'answer', 'bundle-malformed', { confirmations: { tls: '' } }],
  ['a number for a text', 'answer', 'bundle-malformed', { confirmations: { hpke: 1 } }],
  ['padding', 'answer', 'bundle-base64', { confirmations: { receipt: 'AA==' } }],
  ['another statement', 'keyset', 'cose-malformed', { top: { keyset: 'AAAA' } }],
  ['another nonce', 'nonce', 'nonce-mismatch', { evidence: { nonce: toBase64url(share) } }],
  [
    'a signature over something else',
    'confirm-receipt',
    'signature-invalid',
    { confirmations: { receipt: wrongSignature } },
  ],
  [
    'no settlement confirmation',
    'confirm-settlement',
    'signature-invalid',
    { confirmations: { settlement: undefined } },
  ],
  [
    'another settlement signature',
    'confirm-settlement',
    'signature-invalid',
    { confirmations: { settlement: flipped(toBase64url(settlementSignature)) } },
  ],
  [
    'no TLS confirmation',
    'confirm-tls',
    'keyset-key-not-listed',
    { confirmations: { tls: undefined } },
  ],
  [
    'another TLS key',
    'confirm-tls',
    'keyset-key-not-listed',
    { confirmations: { tls: { ...wrongTls, key: toBase64url(receiptKey.publicKey) } } },
  ],
  [
    'a TLS key that signs something else',
    'confirm-tls',
    'signature-invalid',
    { confirmations: { tls: wrongTls } },
  ],
  [
    'no HPKE confirmation',
    'confirm-hpke',
    'signature-invalid',
    { confirmations: { hpke: undefined } },
  ],
  [
    'another MAC',
    'confirm-hpke',
    'signature-invalid',
    { confirmations: { hpke: toBase64url(nonce) } },
  ],
]

test.each(refused)('an answer with %s is refused by %s', async (_, check, code, changes) => {
  const verdict = await judge(answerOf(changes))
  expect(endsOf(verdict).get(check)).toBe(code)
  expect(verdict.verdict).toBe('invalid')
  expect(verdict.keyset).toBeUndefined()
})

test.each([
  ['is no public key', undefined],
  ['makes a secret of zeros', new Uint8Array(32)],
] as const)('an HPKE key that %s is refused, whatever confirms it', async (_, agreedOn) => {
  const digest = keysetDigestOf(
    parseBundle(forgeBundle(jsonCall, { document: set(11, tlsSpki) })).keyset,
  )
  const message = concatBytes(encodeUtf8(confirmationContexts.hpke), digest, nonce, share)
  const mac = hmac(nobleSha256, agreedOn ?? new Uint8Array(32), message)
  const verdict = await judge(
    answerOf({ confirmations: { hpke: toBase64url(mac) } }),
    defaultPolicy,
    { ...question, exchange: { share, agree: () => Promise.resolve(agreedOn) } },
  )
  expect(endsOf(verdict).get('confirm-hpke')).toBe('signature-invalid')
  expect(verdict.verdict).toBe('invalid')
})

test('bytes that are no answer have a verdict', async () => {
  const tooLarge = await judge(new Uint8Array(maxAttestationBytes + 1))
  expect(endsOf(tooLarge).get('answer')).toBe('bundle-too-large')
  expect(tooLarge.level).toBe('none')
  expect(endsOf(await judge(new Uint8Array(maxAttestationBytes))).get('answer')).toBe(
    'bundle-not-json',
  )
  await fc.assert(
    fc.asyncProperty(bytes, bytes, async (answer, policy) => {
      const { verdict } = await judge(answer, policy)
      expect(verdict).toBe('invalid')
    }),
    runs(50),
  )
})

test('keys that the keyset has not, or that nobody can judge here, stay open', async () => {
  const few = answerOf({
    forgery: {
      document: (fields) => {
        for (const key of [10, 11, 12]) remove(key)(fields)
      },
    },
  })
  const without = await judge(few)
  expect(without.verdict).toBe('valid')
  for (const id of ['confirm-settlement', 'confirm-tls', 'confirm-hpke']) {
    expect(endsOf(without).get(id)).toBe('not-given')
  }
  const unable = await judge(answerOf(), defaultPolicy, { nonce })
  expect(unable.verdict).toBe('valid')
  expect(endsOf(unable).get('confirm-settlement')).toBe('not-given')
  expect(endsOf(unable).get('confirm-hpke')).toBe('not-given')
  expect(endsOf(unable).get('confirm-tls')).toBe('')
})

async function validityAt(nowMs: number): Promise<string> {
  const verdict = await judge(answerOf(), policyFile({ maxClockSkewMs: 500 }), question, nowMs)
  return endsOf(verdict).get('keyset-validity') ?? 'missing'
}

test('a keyset is for its own dates, with the skew of the policy before them', async () => {
  const beginMs = signedAtMs - hourMs
  expect(await validityAt(beginMs - 500)).toBe('')
  expect(await validityAt(beginMs - 501)).toBe('keyset-not-valid-at-time')
  expect(await validityAt(beginMs + 24 * hourMs)).toBe('')
  expect(await validityAt(beginMs + 24 * hourMs + 1)).toBe('keyset-not-valid-at-time')
  expect(await validityAt(Number.NaN)).toBe('keyset-not-valid-at-time')
})

test('what the policy requires of keysets is required here, and what it requires of calls is not', async () => {
  const open = await judge(answerOf(), policyFile({ require: ['build', 'charge', 'proofs'] }))
  expect(open).toMatchObject({ verdict: 'incomplete', level: 'L1-SIMULATED' })
  expect(await judge(answerOf(), policyFile({ require: ['charge', 'proofs'] }))).toMatchObject({
    verdict: 'valid',
  })
  expect(await judge(answerOf(), productionPolicy)).toMatchObject({
    verdict: 'invalid',
    level: 'L0',
  })
})

test('evidence of hardware is judged by whoever is given', async () => {
  const asked: string[] = []
  const { evidence, checks } = await verifyAttestation(
    answerOf({ evidence: { kind: 'amd-sev-snp' } }),
    productionPolicy,
    signedAtMs,
    question,
    (kind) => {
      asked.push(kind)
      return Promise.resolve({
        verdict: 'invalid',
        policy: 'p',
        policyDigest: '00',
        platform: 'amd-sev-snp',
        tier: undefined,
        checks: [{ id: 'format', status: 'failed', code: 'quote-malformed', about: '' }],
      })
    },
  )
  expect(asked).toEqual(['amd-sev-snp'])
  expect(evidence?.verdict).toBe('invalid')
  expect(checks.find(({ id }) => id === 'evidence-chain')).toMatchObject({ status: 'failed' })
})

test('evidence for a fresh nonce is judged as of now, not of when its keyset began', async () => {
  const asked: Parameters<EvidenceVerifier>[2][] = []
  const judged: EvidenceVerifier = async (_kind, _data, expected) => {
    asked.push(expected)
    return undefined
  }
  const nowMs = signedAtMs + 5 * hourMs
  const answer = answerOf({ evidence: { kind: 'aws-nitro' } })
  await verifyAttestation(answer, productionPolicy, nowMs, question, judged)
  expect(asked).toMatchObject([{ asOfMs: nowMs, knownSinceMs: nowMs }])
})

/** A verifier that knows no kind of evidence. */
const knowsNothing: EvidenceVerifier = async () => undefined

test('whoever gives a policy of evidence asks for evidence of the keys, whatever else the policy asks', async () => {
  const answer = answerOf({ evidence: { kind: 'abacus' } })
  const loose = policyFile({ require: ['charge'] })
  const verdict = await verifyAttestation(answer, loose, signedAtMs, question, knowsNothing)
  expect(verdict).toMatchObject({ verdict: 'incomplete', level: 'L0' })
  expect(verdict.keyset).toBeUndefined()
})
