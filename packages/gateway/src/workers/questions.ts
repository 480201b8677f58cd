/** What the primary and its workers ask one another: one table for each direction. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { Payee } from '@countersign/protocol/receipt/keyset'
import type { KeptAnswer } from '../call/answer-cache.ts'
import type { Commons } from '../create-gateway.ts'
import type { LoadedConfig } from '../config/load-config.ts'
import type { SealedCallState } from '../keys/sealed-keys.ts'
import type { MetricSnapshot } from '../metrics.ts'
import type { AdmittedPayment, CallResult, Refusal, Release } from '../payment/admission.ts'
import type { NamedKeys } from '../payment/charge-key/key-state.ts'
import type { CollectState } from '../payment/collect/collect-status.ts'
import type { RefundAnswer } from '../payment/metered/refund-desk.ts'
import type { OwedReceipt } from '../payment/metered/owed-receipts.ts'
import type { StoredReceipt } from '../receipts/receipt-store.ts'

/** The headers that a way to pay may read; no others leave the worker. */
export type PaymentHeaders = Partial<
  Pick<
    IncomingHttpHeaders,
    'payment-signature' | 'authorization' | 'x-api-key' | 'x-goog-api-key' | 'idempotency-key'
  >
>

/** A call that wants to be admitted. */
export type CallToAdmit = {
  readonly receiptId: Uint8Array
  readonly method: string
  readonly path: string
  readonly bodyDigest: Uint8Array
  readonly headers: PaymentHeaders
  readonly model: string
  readonly priceAtomic: bigint
  readonly isPricedByUse: boolean
  readonly isStream: boolean
  /** The network that the call comes from. */
  readonly callerNetwork: string
}

/** What became of it. The call's id names its payment from then on. */
export type AdmissionAnswer =
  | {
      readonly kind: 'admitted'
      readonly payer: string | null
      readonly isMetered: boolean
      readonly releases: AdmittedPayment['releases'] | undefined
      readonly fixedAtomic: bigint | undefined
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'replay'; readonly receiptId: string; readonly whenGone: Refusal }

/** A charge, and the headers of a metered payment. */
export type EndAnswer = {
  readonly charge: Charge
  readonly headers: Readonly<Record<string, string>>
}

/** Keys that all workers have. */
export type SharedKeys = {
  readonly tls: { readonly keyPem: string; readonly certificatePem: string } | undefined
  /** 32 bytes. */
  readonly hpke: Uint8Array | undefined
}

/** A turn to open a keyset. */
export type TurnAnswer = SharedKeys & {
  readonly previousKeysetDigest: Uint8Array | undefined
  /** Charge keys of this moment. */
  readonly settlement: NamedKeys | undefined
}

/** A receipt, or an answer, that another worker may have. */
export type Lookup = { readonly id: string; readonly waitMs: number }

/** What a worker asks. */
export type PrimaryQuestions = {
  /** The first message: from now on this worker listens. */
  readonly hello: { readonly ask: null; readonly answer: void }
  readonly admit: { readonly ask: CallToAdmit; readonly answer: AdmissionAnswer }
  readonly release: {
    readonly ask: { readonly callId: string; readonly form: 'whole' | 'stream' }
    readonly answer: Release
  }
  readonly complete: {
    readonly ask: {
      readonly callId: string
      readonly result: CallResult
      readonly usedAtomic: bigint | undefined
    }
    readonly answer: EndAnswer
  }
  readonly progress: {
    readonly ask: { readonly callId: string; readonly provenAtomic: bigint }
    readonly answer: void
  }
  readonly receiptStored: { readonly ask: string; readonly answer: void }
  /** The call is over: its place among those of its payer is free. */
  readonly leave: { readonly ask: string; readonly answer: void }
  readonly identify: { readonly ask: PaymentHeaders; readonly answer: string | null }
  readonly refund: { readonly ask: string | undefined; readonly answer: RefundAnswer }
  readonly confirmSettlement: {
    readonly ask: { readonly address: string; readonly message: Uint8Array }
    readonly answer: Uint8Array
  }
  readonly attest: {
    readonly ask: { readonly reportData: Uint8Array; readonly nowMs: number }
    readonly answer: Uint8Array
  }
  readonly takeTurn: {
    readonly ask: { readonly nowMs: number; readonly notAfterMs: number }
    readonly answer: TurnAnswer
  }
  /** Whether the keyset is stored. Answered when callers may be shown its keys. */
  readonly turnDone: { readonly ask: boolean; readonly answer: void }
  /** The current keyset of this worker names these charge keys. */
  readonly keysetShown: { readonly ask: NamedKeys; readonly answer: void }
  readonly takeSealed: {
    readonly ask: { readonly encapsulated: Uint8Array; readonly nowMs: number }
    readonly answer: SealedCallState
  }
  readonly findReceipt: { readonly ask: Lookup; readonly answer: StoredReceipt | undefined }
  readonly findAnswer: { readonly ask: Lookup; readonly answer: KeptAnswer | undefined }
  readonly metrics: { readonly ask: null; readonly answer: string }
  readonly owedStored: { readonly ask: string; readonly answer: void }
}

/** Whether all workers serve, whether metered calls are sold, and what collecting does. */
export type Readiness = {
  readonly isReady: boolean
  readonly isSelling: boolean
  /** Absent where nothing is collected. */
  readonly collecting?: CollectState | undefined
}

/** What a worker begins with. */
export type StartOrder = {
  readonly slot: number
  readonly loaded: LoadedConfig
  readonly offerAtMs: number
  readonly buildDigest: Uint8Array
  readonly attesterKind: string
  readonly payees: readonly Payee[]
  /** What `GET /v1/terms` answers, and its digest. */
  readonly operator: Commons['payment']['operator']
  readonly takesRefunds: boolean
  /** Keys that calls may still be sealed to, oldest first. */
  readonly heldHpke: readonly Uint8Array[]
  /** The key of OpenGradient's profile, the same in all workers: PKCS #8, DER. */
  readonly openGradientKey: Uint8Array | undefined
}

/** What the primary asks. */
export type WorkerQuestions = {
  /** Whether its event loop turns. */
  readonly ping: { readonly ask: null; readonly answer: void }
  readonly start: { readonly ask: StartOrder; readonly answer: void }
  readonly issueOwed: {
    readonly ask: readonly Omit<OwedReceipt, 'stored'>[]
    readonly answer: void
  }
  readonly listen: {
    readonly ask: { readonly host: string; readonly port: number }
    readonly answer: void
  }
  readonly ready: { readonly ask: Readiness; readonly answer: void }
  readonly holdHpke: { readonly ask: Uint8Array; readonly answer: void }
  readonly renew: { readonly ask: null; readonly answer: void }
  /** Opens another configuration; `adopt` makes it the current one. */
  readonly reload: {
    readonly ask: { readonly loaded: LoadedConfig; readonly offerAtMs: number }
    readonly answer: void
  }
  readonly adopt: { readonly ask: null; readonly answer: void }
  /** The configuration that was to be opened is given up, also where it is still being opened. */
  readonly giveUp: { readonly ask: null; readonly answer: void }
  readonly findReceipt: { readonly ask: Lookup; readonly answer: StoredReceipt | undefined }
  readonly findAnswer: { readonly ask: Lookup; readonly answer: KeptAnswer | undefined }
  readonly snapshot: { readonly ask: null; readonly answer: readonly MetricSnapshot[] }
  /** Ends the calls under way and closes everything; the process ends after its answer. */
  readonly stop: { readonly ask: null; readonly answer: void }
}
