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
import { AttestationError } from '../enclave/attestation-error.ts'
import type { Attester } from '../enclave/attester.ts'
import { createKeysetLine, type KeysetLine } from './keyset-line.ts'
import { createKeys, type KeyPlan, type KeysetTurn, type TakeTurn } from './keyset-turn.ts'
import { describeKeys } from './name-keys.ts'
import { confirmKeys, type Confirmations, type NamedSettlement } from './confirm-keys.ts'
import type { HpkeKey } from './hpke-key.ts'
import { createReceiptKey } from './receipt-key.ts'
import { nativeSha256 } from './native-sha256.ts'
import type { RandomBytes } from './random-pool.ts'
import type { TlsKey } from './tls-key.ts'

/** What is the same in every keyset of this process. */
export type KeysetTerms = {
  readonly issuer: string
  readonly configDigest: Uint8Array
  readonly buildDigest: Uint8Array
  readonly payees: readonly Payee[]
  /** Of the announced terms of the operator. */
  readonly termsDigest?: Uint8Array
  /** Distinct, in ascending order. */
  readonly upstreams: readonly string[]
}

/** What of the terms a new configuration changes. */
export type TermsOfConfiguration = Pick<KeysetTerms, 'configDigest' | 'upstreams'>

/** An epoch: what is public of it, and the keys that servers need. */
export type Epoch = {
  readonly keysetDigest: Uint8Array
  readonly keysetStatement: Uint8Array
  readonly evidence: Evidence
  readonly notAfterMs: number
  readonly tls: TlsKey | undefined
  readonly hpke: HpkeKey | undefined
}

/** An epoch, and the charge keys that its keyset names. */
export type ShownEpoch = Epoch & { readonly settlement: NamedSettlement | undefined }

/** What a call adds to a payload; the epoch adds the rest. */
export type CallPayloadInput = Omit<CallPayload, 'sequence' | 'previous' | 'keysetDigest'>

/** A statement, and the epoch whose key signed it. */
export type SignedStatement = { readonly statement: Uint8Array; readonly epoch: Epoch }

/** Owner of the keys. */
export type Epochs = {
  /**
   * Resolves when a keyset can sign from now on for so long, at most a quarter of its life; gives no promise when one
   * can already.
   *
   * @throws AttestationError when there is none and no evidence for a new one.
   */
  ready(nowMs: number, durationMs: number): Promise<void> | undefined
  /**
   * Signs the next statement under a keyset that is valid at the time of the input. A new keyset is made in the
   * background when half of the life of the current one is over: calls do not wait for hardware.
   *
   * @throws AttestationError as `ready`.
   */
  sign(input: CallPayloadInput): SignedStatement | Promise<SignedStatement>
  /** @throws AttestationError as `ready`. */
  current(nowMs: number): Promise<Epoch>
  /**
   * Opens the next epoch now: one of its keys is renewed.
   *
   * @throws AttestationError
   */
  renew(nowMs: number): Promise<void>
  /**
   * Opens the next epoch by another configuration. From then on these epochs renew themselves no more: they sign what
   * was begun under them, and the new ones go on with the chain of keysets, unless they are forgotten.
   *
   * @throws AttestationError when there is no evidence for it, or these have been succeeded; nothing has changed then.
   */
  succeed(change: TermsOfConfiguration, nowMs: number): Promise<Epochs>
  /** Servers use the keys of these epochs from now on: to be called once of epochs that have succeeded others. */
  show(): void
  /** In place of `show`: the epochs that these were to succeed go on, in the chain after these. */
  forget(): void
  /**
   * Fresh evidence for a caller's nonce, and the proof that every key is held (ST5.8). `undefined` for a share of the
   * caller that gives no secret.
   */
  attest(
    nonce: Uint8Array,
    nowMs: number,
    share?: Uint8Array,
  ): Promise<
    | {
        readonly epoch: Epoch
        readonly evidence: Evidence
        readonly confirmations: Confirmations
      }
    | undefined
  >
}

/** Times of an epoch: it is renewed at half of its life, so that clocks and attesters may fail for a while. */
export const epochLifetimeMs = 86_400_000

/** Then the next one is opened. */
export const renewAfterMs = epochLifetimeMs / 2
const maxReadyMs = epochLifetimeMs / 4
const retryAfterMs = 60_000
const receiptKeyOnly: KeyPlan = { tlsNames: undefined, sealed: false, settlement: undefined }
// A call with an older time than the one that opened the new epoch needs one more; no two calls need a third.
const maxOpenings = 3

type OpenEpoch = ShownEpoch & {
  readonly signer: Es256Signer
  readonly signStatement: StatementSigner
  readonly notBeforeMs: number
  readonly renewAtMs: number
  sequence: number
  previous: Uint8Array
}

/** What epochs are opened with. */
type EpochOptions = {
  readonly random: RandomBytes
  readonly plan?: KeyPlan
  /** Where keysets of several processes make one chain; by default this process is alone. */
  readonly takeTurn?: TakeTurn
  readonly onEpoch: (epoch: Epoch) => void
  readonly onShow?: (epoch: ShownEpoch) => void
  readonly onError: (error: unknown) => void
}

/**
 * Opens the first epoch. `onEpoch` is called with each new epoch before it signs anything, `onShow` when its keys are the
 * ones that callers are to see, `onError` when a new epoch could not be opened while the current one still holds.
 *
 * @throws AttestationError
 */
export async function createEpochs(
  terms: KeysetTerms,
  attester: Attester,
  options: EpochOptions & {
    readonly nowMs: number
    readonly previousKeysetDigest: Uint8Array | undefined
  },
): Promise<Epochs> {
  const { nowMs, previousKeysetDigest: previous } = options
  const first = await openInTurn(terms, attester, options, { nowMs, previous })
  options.onShow?.(first)
  const openAfter = createKeysetLine<KeysetTerms, OpenEpoch>(first, (next, at) =>
    openInTurn(next, attester, options, at),
  )
  return manageEpochs({ first, terms, openAfter, onForgotten: () => undefined }, attester, options)
}

/** What epochs go on from. */
type EpochStart = {
  readonly first: OpenEpoch
  readonly terms: KeysetTerms
  /** Opens the next one, in line with all others that have the first in common. */
  readonly openAfter: KeysetLine<KeysetTerms, OpenEpoch>
  readonly onForgotten: () => void
}

function manageEpochs(start: EpochStart, attester: Attester, options: EpochOptions): Epochs {
  const { first, terms, openAfter } = start
  const { onError, onShow } = options
  // These four are owned here: replaced by a renewal or a succession only, retryAtMs also by `need`.
  let epoch = first
  let renewal: Promise<void> | undefined
  let retryAtMs = 0
  let isSucceeded = false

  async function openNext(nowMs: number): Promise<void> {
    try {
      // Current from the moment on in which servers know it.
      epoch = await openAfter(terms, nowMs)
      retryAtMs = 0
      onShow?.(epoch)
    } finally {
      renewal = undefined
    }
  }

  /** One renewal at a time, so that each keyset names the one before it. */
  function renew(nowMs: number): Promise<void> {
    renewal ??= openNext(nowMs)
    return renewal
  }

  /** The current epoch, where it will do: no promise is made for most calls. */
  const have = (fromMs: number, untilMs: number): OpenEpoch | Promise<OpenEpoch> =>
    fromMs < epoch.renewAtMs && holds(epoch, fromMs, untilMs) ? epoch : need(fromMs, untilMs)

  /** An epoch that is valid from `fromMs` to `untilMs`. */
  async function need(fromMs: number, untilMs: number): Promise<OpenEpoch> {
    for (let opened = 0; !holds(epoch, fromMs, untilMs); opened++) {
      if (opened === maxOpenings || isSucceeded)
        throw new AttestationError('attester-busy', 'clock')
      await renew(fromMs)
    }
    if (fromMs >= epoch.renewAtMs && fromMs >= retryAtMs && !isSucceeded) {
      retryAtMs = fromMs + retryAfterMs
      renew(fromMs).catch(onError)
    }
    return epoch
  }

  /** A renewal under way goes first, and none begins after it: what it would show is not what the next ones show. */
  async function succeed(change: TermsOfConfiguration, nowMs: number): Promise<Epochs> {
    if (isSucceeded) throw new AttestationError('attester-busy', 'succession')
    isSucceeded = true
    const onForgotten = (): void => {
      isSucceeded = false
    }
    try {
      await ended(renewal)
      const newTerms = { ...terms, ...change }
      const next = { first: await openAfter(newTerms, nowMs), terms: newTerms }
      return manageEpochs({ ...next, openAfter, onForgotten }, attester, options)
    } catch (error) {
      onForgotten()
      throw error
    }
  }

  return {
    succeed,
    show: () => onShow?.(epoch),
    forget: start.onForgotten,
    // One under way was given its keys before: what is new now is in the one after it.
    renew: (nowMs) => ended(renewal).then(() => (isSucceeded ? undefined : renew(nowMs))),
    ready: (nowMs, durationMs) => waitFor(have(nowMs, nowMs + Math.min(durationMs, maxReadyMs))),
    current: (nowMs) => need(nowMs, nowMs),
    sign: (input) => signUnder(have(input.timeMs, input.timeMs), input),
    attest: async (nonce, nowMs, share) =>
      attestEpoch(await need(nowMs, nowMs), attester, { nonce, nowMs, share }),
  }
}

/** Whoever began a renewal reports its failure. */
async function ended(renewal: Promise<void> | undefined): Promise<void> {
  await renewal?.catch(() => undefined)
}

/** Whether an epoch is valid from `fromMs` to `untilMs`: a clock that was set back would sign before its keyset began. */
function holds({ notBeforeMs, notAfterMs }: OpenEpoch, fromMs: number, untilMs: number): boolean {
  return fromMs >= notBeforeMs && untilMs <= notAfterMs
}

function signUnder(
  open: OpenEpoch | Promise<OpenEpoch>,
  input: CallPayloadInput,
): SignedStatement | Promise<SignedStatement> {
  if (open instanceof Promise) return open.then((needed) => signNext(needed, input))
  return signNext(open, input)
}

function waitFor(open: OpenEpoch | Promise<OpenEpoch>): Promise<void> | undefined {
  return open instanceof Promise ? open.then(() => undefined) : undefined
}

async function attestEpoch(
  open: OpenEpoch,
  attester: Attester,
  asked: {
    readonly nonce: Uint8Array
    readonly nowMs: number
    readonly share: Uint8Array | undefined
  },
): ReturnType<Epochs['attest']> {
  const { nonce, nowMs, share } = asked
  const confirmations = await confirmKeys(open, nonce, share)
  if (confirmations === undefined) return undefined
  const evidence = await createEvidence(attester, open.keysetDigest, nonce, nowMs)
  return { epoch: open, evidence, confirmations }
}

/** Nothing here waits: sequence and previous belong together. */
function signNext(open: OpenEpoch, input: CallPayloadInput): SignedStatement {
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
}

/** The keyset is stored before it signs anything and before the next one is opened. */
async function openInTurn(
  terms: KeysetTerms,
  attester: Attester,
  { random, onEpoch, plan = receiptKeyOnly, takeTurn }: EpochOptions,
  { nowMs, previous }: { readonly nowMs: number; readonly previous: Uint8Array | undefined },
): Promise<OpenEpoch> {
  const notAfterMs = nowMs + epochLifetimeMs
  const turn: KeysetTurn =
    takeTurn === undefined
      ? {
          previousKeysetDigest: previous,
          ...createKeys(plan, nowMs, notAfterMs),
          done: () => Promise.resolve(),
        }
      : await takeTurn(nowMs, notAfterMs)
  let isStored = false
  try {
    const epoch = await openEpoch(terms, attester, turn, { nowMs, notAfterMs, random })
    onEpoch(epoch)
    isStored = true
    return epoch
  } finally {
    await turn.done(isStored)
  }
}

async function openEpoch(
  terms: KeysetTerms,
  attester: Attester,
  { tls, hpke, settlement, previousKeysetDigest }: KeysetTurn,
  options: { readonly nowMs: number; readonly notAfterMs: number; readonly random: RandomBytes },
): Promise<OpenEpoch> {
  const { nowMs, notAfterMs, random } = options
  const signer = createReceiptKey()
  const { payees, ...common } = terms
  const document = encodeKeyset({
    ...common,
    receiptKey: signer.publicKey,
    notBeforeMs: nowMs,
    notAfterMs,
    ...(payees.length === 0 ? {} : { payees }),
    ...(settlement === undefined ? {} : describeKeys(settlement)),
    ...(previousKeysetDigest === undefined ? {} : { previousKeysetDigest }),
    ...(tls === undefined ? {} : { tlsSpki: tls.spkiDigest }),
    ...(hpke === undefined ? {} : { hpkeKey: hpke.publicKey }),
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
    evidence: await createEvidence(attester, keysetDigest, Uint8Array.from(random(32)), nowMs),
    notAfterMs,
    tls,
    hpke,
    settlement,
    signer,
    signStatement,
    notBeforeMs: nowMs,
    renewAtMs: nowMs + renewAfterMs,
    sequence: 0,
    previous: nativeSha256(payloadBytes),
  }
}

async function createEvidence(
  attester: Attester,
  keysetDigest: Uint8Array,
  nonce: Uint8Array,
  nowMs: number,
): Promise<Evidence> {
  const reportData = createReportData(keysetDigest, nonce)
  return { kind: attester.kind, nonce, data: await attester.attest(reportData, nowMs) }
}
