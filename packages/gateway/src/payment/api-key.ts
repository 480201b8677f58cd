/** Payment `api-key`: hashed keys with budgets, for callers without a wallet (spec/payment.md PA3). */
import type { IncomingHttpHeaders } from 'node:http'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { hashRequest } from '@countersign/protocol/payment/request-nonce'
import type { GatewayErrorCode } from '../errors.ts'
import { createRandomPool, type RandomBytes } from '../keys/random-pool.ts'
import type { Admission, AdmissionRequest, AdmittedPayment, PaymentScheme } from './admission.ts'
import {
  digestSecret,
  openApiKeyStore,
  type ApiKeyStore,
  type DayCharges,
  type KeyLimits,
  type NamedCall,
} from './api-key-store.ts'
import { ownDatabase } from './database.ts'
import { createGroupFlush, type GroupFlush } from './group-flush.ts'
import { readIdempotencyKey } from './idempotency-key.ts'
import { answerNamed, judgeName } from './judge-name.ts'

/** Where the keys are and what a unit of their budgets is. `clock` gives milliseconds since the Unix epoch. */
export type ApiKeyOptions = {
  readonly databaseFile: string
  /** Name of the unit, 1–128 bytes, as it stands in receipts. */
  readonly asset: string
  readonly clock: () => number
}

/** One key while the process runs. Owned by the scheme; the file is behind by at most one flush. */
type Account = {
  readonly id: string
  budgetAtomic: bigint
  chargedAtomic: bigint
  reservedAtomic: bigint
  revoked: boolean
  limits: KeyLimits
  /** The latest day with a charge, and what was charged on it. */
  day: number
  chargedThatDayAtomic: bigint
}

type State = {
  readonly options: ApiKeyOptions
  readonly store: ApiKeyStore
  readonly flush: GroupFlush
  readonly random: RandomBytes
  /** By the digest of the secret; at most one entry for each key in the file. */
  readonly accounts: Map<string, Account>
  /** Named calls that have not been written yet: running, or ended and waiting for the flush. */
  readonly named: Map<string, NamedCall & { readonly isRunning?: boolean }>
  readonly dirty: Map<string, Account>
  ended: NamedCall[]
  seenVersion: number
  checkVersionAtMs: number
}

const secretForm = /^csk_[A-Za-z0-9_-]{43}$/
// Where the clients of Anthropic and Google send their key.
const ownHeaders = ['x-api-key', 'x-goog-api-key'] as const
const bearer = /^Bearer +(\S+)$/i
const checkEveryMs = 1000
const dayMs = 86_400_000
const rememberCallsMs = dayMs

/** The key of a request, whether it is known or not; undefined when there is none of our form. */
export function readApiKey(headers: IncomingHttpHeaders): string | undefined {
  const authorization = headers.authorization
  const fromBearer = authorization === undefined ? undefined : bearer.exec(authorization)?.[1]
  if (fromBearer !== undefined && secretForm.test(fromBearer)) return fromBearer
  for (const name of ownHeaders) {
    const own = headers[name]
    if (typeof own === 'string' && secretForm.test(own)) return own
  }
  return undefined
}

/**
 * Admits calls whose key has budget left. A revocation or a new budget takes effect within a second. A reservation
 * without an end is released when the process starts again: then the call is not charged.
 *
 * @throws DatabaseFault when the file cannot be opened or another process admits from it.
 */
export function createApiKeyPayment(options: ApiKeyOptions): PaymentScheme {
  const owner = ownDatabase(options.databaseFile, 'api-key')
  const store = openApiKeyStore(options.databaseFile)
  const state: State = {
    options,
    store,
    flush: createGroupFlush(() => {
      writeFlush(state)
    }),
    random: createRandomPool(),
    accounts: new Map(),
    named: new Map(),
    dirty: new Map(),
    ended: [],
    seenVersion: store.version(),
    checkVersionAtMs: options.clock() + checkEveryMs,
  }
  return {
    admit: (request) =>
      new Promise((resolve) => {
        resolve(admit(state, request))
      }),
    identify: (headers) => {
      refreshAccounts(state)
      const account = findCaller(state, headers)
      return account === undefined ? null : payerOf(account)
    },
    close: async () => {
      await state.flush.now()
      store.close()
      owner.release()
    },
  }
}

function admit(state: State, request: AdmissionRequest): Admission {
  refreshAccounts(state)
  const account = findCaller(state, request.headers)
  if (account === undefined) return refused('api-key-invalid')
  const limited = request.limits?.enter(request.receiptId, payerOf(account), account.limits)
  if (limited !== undefined) return { kind: 'refused', refusal: limited }
  const idempotency = readIdempotencyKey(request.headers)
  if (idempotency.kind === 'malformed') return refused('request-malformed', malformedKey)
  const name = idempotency.kind === 'given' ? idempotency.key : undefined
  const repeated = name === undefined ? undefined : findRepeated(state, account, name, request)
  if (repeated !== undefined) return repeated
  const { priceAtomic } = request
  const left = account.budgetAtomic - account.chargedAtomic - account.reservedAtomic
  if (priceAtomic > left) return refused('api-key-budget-exhausted')
  if (priceAtomic > leftToday(state, account)) return refused('api-key-daily-budget-exhausted')
  account.reservedAtomic += priceAtomic
  if (name !== undefined) {
    const running = { ...describeCall(state, account, request, name), isRunning: true }
    state.named.set(nameOf(account.id, name), running)
  }
  return { kind: 'admitted', payment: createAdmitted(state, account, request, name) }
}

/**
 * What may still be reserved today. A charge counts on the day on which its call ends, and all that is reserved counts
 * now: so no day is charged more than its budget, also when calls run over midnight.
 */
function leftToday(state: State, account: Account): bigint {
  const { dailyBudgetAtomic } = account.limits
  if (dailyBudgetAtomic === undefined) return account.budgetAtomic
  beginDay(state, account)
  return dailyBudgetAtomic - account.chargedThatDayAtomic - account.reservedAtomic
}

/** A clock that goes back does not open an earlier day again. */
function beginDay({ options }: State, account: Account): void {
  const day = Math.floor(options.clock() / dayMs)
  if (day <= account.day) return
  account.day = day
  account.chargedThatDayAtomic = 0n
}

const malformedKey = 'Idempotency-Key takes 1 to 255 printable ASCII characters.'

/** The account of a request's key, unless it was revoked. */
function findCaller(state: State, headers: IncomingHttpHeaders): Account | undefined {
  const secret = readApiKey(headers)
  const account = secret === undefined ? undefined : findAccount(state, secret)
  return account === undefined || account.revoked ? undefined : account
}

function payerOf({ id }: Account): string {
  return `api-key:${id}`
}

function findAccount(state: State, secret: string): Account | undefined {
  const digest = digestSecret(secret)
  const known = state.accounts.get(digest)
  if (known !== undefined) return known
  const entry = state.store.findByDigest(digest)
  if (entry === undefined) return undefined
  const account: Account = {
    id: entry.id,
    budgetAtomic: entry.budgetAtomic,
    chargedAtomic: entry.chargedAtomic,
    reservedAtomic: 0n,
    revoked: entry.state === 'revoked',
    limits: entry.limits,
    day: entry.today.day,
    chargedThatDayAtomic: entry.today.chargedAtomic,
  }
  state.accounts.set(digest, account)
  return account
}

/** Budgets and revocations may be changed by another process; what was charged is ours alone. */
function refreshAccounts(state: State): void {
  const nowMs = state.options.clock()
  if (nowMs < state.checkVersionAtMs) return
  state.checkVersionAtMs = nowMs + checkEveryMs
  const version = state.store.version()
  if (version === state.seenVersion) return
  state.seenVersion = version
  for (const account of state.accounts.values()) {
    const entry = state.store.findById(account.id)
    account.revoked = entry?.state !== 'active'
    if (entry === undefined) continue
    account.budgetAtomic = entry.budgetAtomic
    account.limits = entry.limits
  }
}

function findRepeated(
  state: State,
  account: Account,
  name: string,
  request: AdmissionRequest,
): Admission | undefined {
  const running = state.named.get(nameOf(account.id, name))
  const earlier = running ?? state.store.findCall(account.id, name)
  if (earlier === undefined) return undefined
  const isRunning = running?.isRunning === true
  const call = { callId: earlier.receiptId, state: isRunning ? 'running' : 'used' } as const
  return answerNamed(judgeName(call, equalBytes(earlier.request, requestOf(request))))
}

function createAdmitted(
  state: State,
  account: Account,
  request: AdmissionRequest,
  name: string | undefined,
): AdmittedPayment {
  const { asset } = state.options
  const paymentId = state.random(16)
  let ended = false
  return {
    payer: payerOf(account),
    release: () => Promise.resolve({ kind: 'released', headers: {} } as const),
    complete: async (use, usedAtomic = request.priceAtomic) => {
      const mostAtomic = usedAtomic < request.priceAtomic ? usedAtomic : request.priceAtomic
      const amountAtomic = use === 'used' ? mostAtomic : 0n
      if (!ended) {
        ended = true
        account.reservedAtomic -= request.priceAtomic
        if (name !== undefined) state.named.delete(nameOf(account.id, name))
        if (use === 'used') await charge(state, account, request, name, amountAtomic)
      }
      return { scheme: 'api-key', amountAtomic, asset, paymentId }
    },
    metered: null,
    releases: 'free',
  }
}

async function charge(
  state: State,
  account: Account,
  request: AdmissionRequest,
  name: string | undefined,
  amountAtomic: bigint,
): Promise<void> {
  account.chargedAtomic += amountAtomic
  beginDay(state, account)
  account.chargedThatDayAtomic += amountAtomic
  state.dirty.set(account.id, account)
  if (name !== undefined) {
    const call = describeCall(state, account, request, name)
    state.ended.push(call)
    state.named.set(nameOf(account.id, name), call)
  }
  await state.flush.next()
}

function describeCall(
  { options }: State,
  { id }: Account,
  request: AdmissionRequest,
  name: string,
): NamedCall {
  return {
    keyId: id,
    idempotencyKey: name,
    request: requestOf(request),
    receiptId: toHex(request.receiptId),
    endedAtMs: options.clock(),
  }
}

/** After a crash here the file has all of this flush or nothing; calls of a lost flush were not charged. */
function writeFlush(state: State): void {
  if (state.dirty.size === 0) return
  const dirty = [...state.dirty.values()]
  const charged = new Map(dirty.map(({ id, chargedAtomic }) => [id, chargedAtomic]))
  const today = new Map(dirty.map((account) => [account.id, dayOf(account)]))
  const calls = state.ended
  const forgetCallsBeforeMs = state.options.clock() - rememberCallsMs
  state.store.flush({ charged, today, calls, forgetCallsBeforeMs })
  state.dirty.clear()
  state.ended = []
  for (const { keyId, idempotencyKey } of calls) state.named.delete(nameOf(keyId, idempotencyKey))
}

function dayOf({ day, chargedThatDayAtomic }: Account): DayCharges {
  return { day, chargedAtomic: chargedThatDayAtomic }
}

function requestOf({ method, path, bodyDigest }: AdmissionRequest): Uint8Array {
  return hashRequest(method, path, bodyDigest())
}

/** Key ids have no line feed. */
function nameOf(keyId: string, idempotencyKey: string): string {
  return `${keyId}\n${idempotencyKey}`
}

function refused(code: GatewayErrorCode, detail = ''): Admission {
  return { kind: 'refused', refusal: { code, detail, headers: {} } }
}
