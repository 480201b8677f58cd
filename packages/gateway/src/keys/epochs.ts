/** Keyset epochs: the keys that sign, their attestation, and the sequence of statements under each. */
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { encodeKeyset, type Payee } from '@countersign/protocol/receipt/keyset'
import type { CallPayload } from '@countersign/protocol/receipt/payload'
import {
  createStatementSigner,
  type StatementSigner,
} from '@countersign/protocol/receipt/statement'
import type { Es256Signer } from '@countersign/protocol/crypto/es256'
import type { Evidence } from '@countersign/protocol/verify/bundle'
import { createReceiptKey } from './receipt-key.ts'
import { nativeSha256 } from './native-sha256.ts'
import type { RandomBytes } from './random-pool.ts'

/** Makes evidence for report data: the seam for real TEEs. */
export type Attester = {
  readonly kind: string
  attest(reportData: Uint8Array, nowMs: number): Uint8Array
}

/** What is the same in every keyset of this process. */
export type KeysetTerms = {
  readonly issuer: string
  readonly configDigest: Uint8Array
  readonly buildDigest: Uint8Array
  readonly payees: readonly Payee[]
  readonly settlementAddress?: string
}

/** The public part of an epoch. */
export type Epoch = {
  readonly keysetDigest: Uint8Array
  readonly keysetStatement: Uint8Array
  readonly evidence: Evidence
  readonly notAfterMs: number
}

/** What a call adds to a payload; the epoch adds the rest. */
export type CallPayloadInput = Omit<CallPayload, 'sequence' | 'previous' | 'keysetDigest'>

/** Owner of the keys. */
export type Epochs = {
  /** Signs the next statement under the current keyset, opening a new epoch when half of its life is over. */
  sign(input: CallPayloadInput): { readonly statement: Uint8Array; readonly epoch: Epoch }
  current(nowMs: number): Epoch
  /** Fresh evidence for a caller's nonce, and the receipt key's signature over it (ST5.7). */
  attest(
    nonce: Uint8Array,
    nowMs: number,
  ): { readonly evidence: Evidence; readonly confirmation: Uint8Array }
}

/** Times of an epoch: it signs for half of its life, so that clocks may differ. */
export const epochLifetimeMs = 86_400_000

type OpenEpoch = Epoch & {
  readonly signer: Es256Signer
  readonly signStatement: StatementSigner
  readonly notBeforeMs: number
  readonly renewAtMs: number
  sequence: number
  previous: Uint8Array
}

const confirmationContext = Buffer.from('countersign/key-confirmation/v1')

/** Opens the first epoch. `onEpoch` is called with each new epoch before it signs anything. */
export function createEpochs(
  terms: KeysetTerms,
  attester: Attester,
  options: {
    readonly nowMs: number
    readonly random: RandomBytes
    readonly previousKeysetDigest: Uint8Array | undefined
    readonly onEpoch: (epoch: Epoch) => void
  },
): Epochs {
  const { random, onEpoch } = options
  // Owned here: replaced by renew only.
  let epoch = openEpoch(terms, attester, options.nowMs, random, options.previousKeysetDigest)
  onEpoch(epoch)

  function current(nowMs: number): OpenEpoch {
    // A clock that was set back would sign before its keyset began.
    if (nowMs >= epoch.renewAtMs || nowMs < epoch.notBeforeMs) {
      epoch = openEpoch(terms, attester, nowMs, random, epoch.keysetDigest)
      onEpoch(epoch)
    }
    return epoch
  }

  return {
    current,
    sign: (input) => {
      const open = current(input.timeMs)
      const sequence = open.sequence + 1
      const { previous, keysetDigest } = open
      const { statement, payloadBytes } = open.signStatement({
        ...input,
        sequence,
        previous,
        keysetDigest,
      })
      open.sequence = sequence
      open.previous = nativeSha256(payloadBytes)
      return { statement, epoch: open }
    },
    attest: (nonce, nowMs) => {
      const open = current(nowMs)
      const message = Buffer.concat([confirmationContext, open.keysetDigest, nonce])
      return {
        evidence: createEvidence(attester, open.keysetDigest, nonce, nowMs),
        confirmation: open.signer.sign(message),
      }
    },
  }
}

function openEpoch(
  terms: KeysetTerms,
  attester: Attester,
  nowMs: number,
  random: RandomBytes,
  previousKeysetDigest: Uint8Array | undefined,
): OpenEpoch {
  const signer = createReceiptKey()
  const notAfterMs = nowMs + epochLifetimeMs
  const { payees, ...common } = terms
  const document = encodeKeyset({
    ...common,
    receiptKey: signer.publicKey,
    notBeforeMs: nowMs,
    notAfterMs,
    ...(payees.length === 0 ? {} : { payees }),
    ...(previousKeysetDigest === undefined ? {} : { previousKeysetDigest }),
  })
  const keysetDigest = nativeSha256(document)
  const payload = {
    type: 'keyset',
    id: random(16),
    sequence: 0,
    previous: new Uint8Array(32),
    keysetDigest,
    timeMs: nowMs,
    document,
  } as const
  const signStatement = createStatementSigner(terms.issuer, signer)
  const { statement, payloadBytes } = signStatement(payload)
  return {
    keysetDigest,
    keysetStatement: statement,
    evidence: createEvidence(attester, keysetDigest, Uint8Array.from(random(32)), nowMs),
    notAfterMs,
    signer,
    signStatement,
    notBeforeMs: nowMs,
    renewAtMs: nowMs + epochLifetimeMs / 2,
    sequence: 0,
    previous: nativeSha256(payloadBytes),
  }
}

function createEvidence(
  attester: Attester,
  keysetDigest: Uint8Array,
  nonce: Uint8Array,
  nowMs: number,
): Evidence {
  const reportData = createReportData(keysetDigest, nonce)
  return { kind: attester.kind, nonce, data: attester.attest(reportData, nowMs) }
}
