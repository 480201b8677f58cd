/** Issues real bundles: real keys, real claims trees, real simulated evidence. Only the call in them is made up. */
import { randomBytes } from 'node:crypto'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { createSimulatedEvidence } from '@countersign/protocol/attestation/simulated'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { encodeAmount, type Charge } from '@countersign/protocol/receipt/charge'
import { createClaimsTree, saltBytes } from '@countersign/protocol/receipt/claims'
import { chainDigests, splitEvents } from '@countersign/protocol/receipt/event-chain'
import { encodeKeyset } from '@countersign/protocol/receipt/keyset'
import { signStatement } from '@countersign/protocol/receipt/statement'
import { encodeBundle } from '@countersign/protocol/verify/bundle'
import { createTestSigner } from './test-signer.ts'

/** A call to write a receipt for. */
export type TestCall = {
  readonly id: Uint8Array
  readonly nonce?: Uint8Array | undefined
  /** With the query. */
  readonly path: string
  readonly request: Uint8Array
  readonly response: Uint8Array
  readonly isStream: boolean
  readonly status: number
  readonly state: 'complete' | 'aborted-by-client' | 'upstream-error'
  readonly charge: Charge
  readonly priceAtomic: bigint
}

/** Signs for calls. */
export type TestIssuer = { issue(call: TestCall): Uint8Array }

const issuer = 'countersign:test'
const hourMs = 3_600_000

/** An issuer whose keyset is valid around this time. */
export function createTestIssuer(nowMs: number): TestIssuer {
  const signer = createTestSigner()
  const buildDigest = sha256(Buffer.from('build'))
  const document = encodeKeyset({
    issuer,
    receiptKey: signer.publicKey,
    notBeforeMs: nowMs - hourMs,
    notAfterMs: nowMs + hourMs,
    configDigest: sha256(Buffer.from('config')),
    buildDigest,
    payees: [
      {
        network: 'eip155:84532',
        asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
        address: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
      },
    ],
  })
  const keysetDigest = sha256(document)
  const keyset = signStatement(
    {
      type: 'keyset',
      id: Uint8Array.from(randomBytes(16)),
      sequence: 0,
      previous: new Uint8Array(32),
      keysetDigest,
      timeMs: nowMs - hourMs,
      document,
    },
    issuer,
    signer,
  )
  const nonce = Uint8Array.from(randomBytes(32))
  const data = createSimulatedEvidence({
    root: createTestSigner(),
    platform: createTestSigner(),
    notBeforeMs: nowMs - hourMs,
    notAfterMs: nowMs + hourMs,
    reportData: createReportData(keysetDigest, nonce),
    measurement: buildDigest,
    timeMs: nowMs,
  })
  let sequence = 0
  return {
    issue: (call) => {
      const claims = createClaims(call, nowMs)
      const tree = createClaimsTree(claims, Uint8Array.from(randomBytes(claims.size * saltBytes)))
      const statement = signStatement(
        {
          type: 'receipt',
          id: call.id,
          sequence: ++sequence,
          previous: sha256(Buffer.from('the statement before')),
          keysetDigest,
          timeMs: nowMs,
          ...(call.nonce === undefined ? {} : { nonce: call.nonce }),
          charge: call.charge,
          claimsRoot: tree.root,
          claimsCount: claims.size,
        },
        issuer,
        signer,
      )
      const bundle = {
        statement,
        claims: tree.entries,
        keyset,
        evidence: [{ kind: 'simulated', nonce, data }],
        proofs: [],
      }
      return encodeBundle(call.isStream ? { ...bundle, events: digestEvents(call) } : bundle)
    },
  }
}

function createClaims(call: TestCall, nowMs: number): ReadonlyMap<string, CborValue> {
  const { request, response, status } = call
  const [path = '', query] = call.path.split('?')
  const received = { bytes: request.length, sha256: sha256(request) }
  const returned = { bytes: response.length, sha256: sha256(response) }
  const claims = new Map<string, CborValue>([
    ['forwarded', map({ ...received, transform: 'identity' })],
    ['model', map({ asserted: 'test-model', requested: 'test-model' })],
    ['outcome', map({ error: null, finish: 'stop', state: call.state })],
    ['parameters', map({ stream: String(call.isStream) })],
    ['price', map({ amount: encodeAmount(call.priceAtomic), sheet: new Uint8Array(32) })],
    ['request', map({ ...received, method: 'POST', path })],
    ['response', map({ ...returned, status, transform: 'identity' })],
    ['timing', map({ completed: nowMs, firstByte: nowMs, received: nowMs })],
    ['upstream', map({ host: '127.0.0.1', requestId: null, tls: null })],
    ['upstream-response', map({ ...returned, status })],
    ['usage', map({ input: 3, output: 5, raw: null, source: 'provider' })],
  ])
  if (query !== undefined) claims.set('query', query)
  if (call.isStream) {
    const chain = chainDigests(digestEvents(call))
    claims.set('stream', map({ events: chain.events, head: chain.head }))
  }
  return claims
}

function digestEvents({ response }: TestCall): Uint8Array {
  const { events, rest } = splitEvents(response)
  const elements = rest.length === 0 ? events : [...events, rest]
  return Uint8Array.from(Buffer.concat(elements.map((element) => sha256(element))))
}

function map(members: Readonly<Record<string, CborValue>>): CborValue {
  return new Map(Object.entries(members))
}
