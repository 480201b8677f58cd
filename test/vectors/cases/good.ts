/** Bundles that hold, whole and with parts withheld. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { withholdClaims } from '@countersign/protocol/receipt/claims'
import type { BundleCase } from '../bundle-case.ts'
import { remove } from '../edits.ts'
import { forgeBundle, rootSigner } from '../forge.ts'
import {
  abortedCall,
  channelCharge,
  fields,
  jsonCall,
  recoveredCall,
  refusedCall,
  signedAtMs,
  streamCall,
  streamElements,
  exactCharge,
  unconfirmedCharge,
  uptoCharge,
  withClaim,
  withoutEvents,
  type SampleCall,
} from '../sample-call.ts'
import { seededBytes } from '../signers.ts'
import { policyFile } from '../policy-file.ts'
import { withhold } from '../withhold.ts'

const isSimulated = { verdict: 'valid', level: 'L1-SIMULATED' } as const

/** Cases that are valid, or incomplete for a named reason, with nothing wrong in them. */
export function goodCases(): readonly BundleCase[] {
  return [
    ...wholeCases(),
    ...chargeKinds(),
    ...recoveredCases(),
    ...withheldCases(),
    ...policyKinds(),
    ...laterKinds(),
    ...timeKinds(),
    ...claimKinds(),
  ]
}

function wholeCases(): readonly BundleCase[] {
  const bundle = forgeBundle(streamCall)
  const prefix = new TextEncoder().encode(streamElements.slice(0, 3).join(''))
  const { request, response, nonce } = jsonCall
  return [
    {
      name: 'an answer in one piece, all bytes held',
      clause: 'BU3.8',
      bundle: forgeBundle(jsonCall),
      held: { request, response, ...(nonce === undefined ? {} : { nonce }) },
      ...isSimulated,
    },
    {
      name: 'a keyset with announced terms and other charge keys',
      clause: 'ST4.1',
      bundle: forgeBundle(jsonCall, {
        document: (keyset) => keyset.set(14, seededBytes('terms')).set(15, ['0x03', '0x01']),
      }),
      ...isSimulated,
    },
    {
      name: 'a stream, nothing held',
      clause: 'RC5.3',
      bundle,
      ...isSimulated,
      open: { nonce: 'not-given', 'request-bytes': 'not-given', 'response-bytes': 'not-given' },
    },
    {
      name: 'a stream, all bytes held',
      clause: 'RC5.2',
      bundle,
      held: { request: streamCall.request, response: streamCall.response },
      ...isSimulated,
    },
    {
      name: 'a stream, a prefix of three events held',
      clause: 'RC5.3',
      bundle,
      held: { response: prefix, responseIsPrefix: true },
      ...isSimulated,
    },
    {
      name: 'a stream, an empty prefix held',
      clause: 'RC5.3',
      bundle,
      held: { response: new Uint8Array(0), responseIsPrefix: true },
      ...isSimulated,
    },
    {
      name: 'a stream without its event digests, all bytes held',
      clause: 'BU3.8',
      bundle: forgeBundle(withoutEvents(streamCall)),
      held: { response: streamCall.response },
      ...isSimulated,
    },
    {
      name: 'a stream that the client gave up',
      clause: 'RC4.2',
      bundle: forgeBundle(abortedCall),
      held: { response: abortedCall.response },
      ...isSimulated,
    },
    {
      name: 'a refusal',
      clause: 'RC1.1',
      bundle: forgeBundle(refusedCall),
      held: { request: refusedCall.request, response: refusedCall.response },
      ...isSimulated,
    },
  ]
}

function chargeKinds(): readonly BundleCase[] {
  const key = { scheme: 'api-key', amountAtomic: 1n, asset: 'USD' } as const
  const charges: readonly (readonly [string, string, SampleCall['charge']])[] = [
    ['nothing charged', 'RC2.2', { scheme: 'none', amountAtomic: 0n }],
    ['an API key', 'RC2.3', { ...key, paymentId: seededBytes('call').subarray(0, 16) }],
    ['an API key with a payment id of one byte', 'RC2.1', { ...key, paymentId: Uint8Array.of(1) }],
    ['a payment that is not yet confirmed', 'RC2.2', unconfirmedCharge(1500n)],
    ['a credit', 'RC2.4', exactCharge(0n)],
    ['exactly the price', 'RC2.6', exactCharge(2000n)],
    ['a metered part of a signed maximum', 'RC2.3', uptoCharge(1234n)],
    ['nothing of a signed maximum', 'RC2.3', uptoCharge(0n)],
    ['the first charge of a channel', 'RC2.7', channelCharge(55n, 55n)],
    ['a later charge of a channel', 'RC2.7', channelCharge(55n, 2n ** 128n - 1n)],
  ]
  return charges.map(([what, clause, charge]) => ({
    name: `a receipt with ${what}`,
    clause,
    bundle: forgeBundle({ ...jsonCall, charge }),
    verdict: 'valid',
  }))
}

function recoveredCases(): readonly BundleCase[] {
  return [
    {
      name: 'a receipt about a call that a crash cut short',
      clause: 'RC4.13',
      bundle: forgeBundle(recoveredCall),
      verdict: 'incomplete',
      open: { meaning: 'withheld', charge: 'withheld' },
    },
  ]
}

function withheldCases(): readonly BundleCase[] {
  return [
    {
      name: 'all claims withheld',
      clause: 'RC3.3',
      bundle: forgeBundle(jsonCall, {
        bundle: ({ claims }) => ({ claims: withholdClaims(claims) }),
      }),
      verdict: 'incomplete',
      open: { meaning: 'withheld', charge: 'withheld' },
    },
    {
      name: 'claims withheld that nothing needs',
      clause: 'RC3.3',
      bundle: forgeBundle(jsonCall, withhold('parameters', 'usage', 'model', 'timing', 'upstream')),
      ...isSimulated,
    },
    {
      name: 'the price withheld',
      clause: 'RC4.4',
      bundle: forgeBundle(jsonCall, withhold('price')),
      verdict: 'incomplete',
      open: { charge: 'withheld' },
    },
    ...['forwarded', 'request', 'response', 'upstream-response', 'outcome'].map((name) => ({
      name: `the claim ${name} withheld`,
      clause: 'RC4.4',
      bundle: forgeBundle(jsonCall, { ...withhold(name), evidence: 'none' }),
      verdict: 'incomplete' as const,
      open: { meaning: 'withheld' } as const,
    })),
    {
      name: 'request and response withheld from one who holds them',
      clause: 'BU3.8',
      bundle: forgeBundle(refusedCall, withhold('request', 'response')),
      held: { request: refusedCall.request, response: refusedCall.response },
      verdict: 'incomplete',
      open: { 'request-bytes': 'withheld', 'response-bytes': 'withheld' },
    },
    {
      name: 'the stream withheld from one who holds a prefix',
      clause: 'BU3.8',
      bundle: forgeBundle(streamCall, withhold('stream')),
      held: { response: new Uint8Array(0), responseIsPrefix: true },
      verdict: 'incomplete',
      open: { 'response-bytes': 'withheld' },
    },
    {
      name: 'a refusal with all claims withheld',
      clause: 'BU3.12',
      bundle: forgeBundle(refusedCall, {
        bundle: ({ claims }) => ({ claims: withholdClaims(claims) }),
      }),
      ...isSimulated,
    },
  ]
}

function policyKinds(): readonly BundleCase[] {
  const root = toHex(sha256(rootSigner.publicKey))
  const bundle = forgeBundle(refusedCall)
  const bare = forgeBundle(refusedCall, { evidence: 'none' })
  return [
    {
      name: 'a policy that lists the issuer and the root',
      clause: 'BU2.1',
      bundle,
      policy: policyFile({
        issuers: ['other.example', 'gateway.example'],
        evidence: [{ kind: 'simulated', roots: ['00'.repeat(32), root] }],
      }),
      ...isSimulated,
    },
    {
      name: 'a policy that asks for one check, no evidence in the bundle',
      clause: 'BU3.10',
      bundle: bare,
      policy: policyFile({ require: ['claims'] }),
      verdict: 'valid',
      level: 'L0',
      open: {
        'evidence-chain': 'no-evidence',
        'evidence-binding': 'blocked',
        issuer: 'any-issuer',
      },
    },
    {
      name: 'no evidence, but the policy asks for it',
      clause: 'BU3.3',
      bundle: bare,
      verdict: 'incomplete',
      level: 'L0',
      open: { 'evidence-accepted': 'no-evidence' },
    },
    {
      name: 'a policy that asks for the nonce, which the caller does not give',
      clause: 'BU3.3',
      bundle,
      policy: policyFile({ require: ['nonce'] }),
      verdict: 'incomplete',
      open: { nonce: 'not-given' },
    },
  ]
}

function laterKinds(): readonly BundleCase[] {
  const root = toHex(sha256(rootSigner.publicKey))
  return [
    {
      name: 'evidence of another kind, which the policy accepts',
      clause: 'BU3.6',
      bundle: forgeBundle(refusedCall, { evidence: { kind: 'tdx' } }),
      policy: policyFile({ evidence: [{ kind: 'tdx', roots: 'any' }] }),
      verdict: 'incomplete',
      level: 'L0',
      open: { 'evidence-chain': 'unknown-kind', 'evidence-measurement': 'blocked' },
    },
    {
      name: 'evidence of another kind, which the policy accepts with a root',
      clause: 'BU3.6',
      bundle: forgeBundle(refusedCall, { evidence: { kind: 'tdx' } }),
      policy: policyFile({ evidence: [{ kind: 'tdx', roots: [root] }] }),
      verdict: 'incomplete',
      open: { 'evidence-accepted': 'blocked' },
    },
    {
      name: 'a later kind of proof is no pass and no fault',
      clause: 'BU3.9',
      bundle: forgeBundle(refusedCall, {
        bundle: () => ({ proofs: [{ kind: 'inclusion', data: Uint8Array.of(1) }] }),
      }),
      ...isSimulated,
      open: { proofs: 'unknown-kind' },
    },
    {
      name: 'a later kind of proof where the policy asks for proofs',
      clause: 'BU3.9',
      bundle: forgeBundle(refusedCall, {
        bundle: () => ({ proofs: [{ kind: 'inclusion', data: Uint8Array.of(1) }] }),
      }),
      policy: policyFile({ require: ['proofs'] }),
      verdict: 'incomplete',
    },
  ]
}

function timeKinds(): readonly BundleCase[] {
  const bundle = forgeBundle(refusedCall)
  const policy = policyFile({ maxAgeMs: 1000, maxClockSkewMs: 500 })
  return [
    {
      name: 'as early as the skew allows',
      clause: 'BU3.4',
      bundle,
      policy,
      nowMs: signedAtMs - 500,
      ...isSimulated,
    },
    {
      name: 'as old as the policy allows',
      clause: 'BU3.4',
      bundle,
      policy,
      nowMs: signedAtMs + 1000,
      ...isSimulated,
    },
    {
      name: 'years later, when the key is long gone',
      clause: 'ST4.5',
      bundle,
      nowMs: signedAtMs + 315_360_000_000,
      ...isSimulated,
    },
  ]
}

function claimKinds(): readonly BundleCase[] {
  const { response } = jsonCall
  return [
    {
      name: 'a claim with a name that nobody knows',
      clause: 'RC4',
      bundle: forgeBundle(
        withClaim(refusedCall, 'weather', [1, 'rain', null, new Map([[1, true]])]),
      ),
      ...isSimulated,
    },
    {
      name: 'names in the order of their UTF-8 bytes',
      clause: 'RC3.2',
      bundle: forgeBundle(withClaim(withClaim(refusedCall, '😀', 1), '\uffee', 2)),
      ...isSimulated,
    },
    {
      name: 'a name of 64 bytes',
      clause: 'RC3.1',
      bundle: forgeBundle(withClaim(refusedCall, 'n'.repeat(64), null)),
      ...isSimulated,
    },
    {
      name: 'a response that the gateway wrote',
      clause: 'RC4.2',
      bundle: forgeBundle(
        withClaim(
          jsonCall,
          'response',
          fields({
            bytes: response.length,
            sha256: sha256(response),
            status: 502,
            transform: 'gateway-error',
          }),
        ),
        withhold('upstream-response'),
      ),
      ...isSimulated,
    },
    {
      name: 'an upstream that was reached without TLS and said nothing',
      clause: 'RC4',
      bundle: forgeBundle(
        withClaim(jsonCall, 'upstream', fields({ host: '', requestId: 'r-1', tls: null })),
        { document: remove(13) },
      ),
      ...isSimulated,
    },
  ]
}
