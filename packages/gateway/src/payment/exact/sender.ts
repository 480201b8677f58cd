/** Sends the transactions of the settlement key: one nonce after the other, each signed and journaled before it is sent. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  BaseError,
  keccak256,
  RpcRequestError,
  serializeTransaction,
  toBytes,
  type Hex,
  type PublicClient,
  type TransactionSerializableEIP1559,
} from 'viem'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import type { EvmCurve } from '../evm-curve.ts'
import type { Chain } from './chain.ts'
import type { Ledger, SignedTransaction } from './ledger.ts'
import { pause } from './pause.ts'
import { createSenderTurns } from './sender-turns.ts'
import {
  forgetBelow,
  isStuck,
  mayReplace,
  placeOf,
  signDearer,
  type OfferedFees,
  type Places,
  type StuckRule,
} from './replace-stuck.ts'

/** One transaction, and what to do when it is signed or the node refuses it. */
export type SendRequest = {
  readonly to: Hex
  readonly data: Hex
  readonly gas: bigint
  /** It has time: given up by `SenderBusy`, before anything is signed, when others wait for their turn. */
  readonly yields?: true
  /** Resolves, or returns, when the transaction is durable. */
  readonly journal: (signed: SignedTransaction) => Promise<void> | void
  readonly forget: (signed: SignedTransaction) => Promise<void> | void
}

/** Owns the nonces of the settlement key. No other process may use that key. */
export type Sender = {
  /**
   * Signs, calls `journal` (which makes the transaction durable), then sends. A crash between the two is repaired by
   * sending the same bytes again. Resolves when the node took it.
   *
   * @throws NotSent when the node refused it (after `forget`), MaybeSent when nobody knows, SenderBusy where it yields.
   */
  send(request: SendRequest): Promise<Hex>
  /** Sends again what was signed but is not on chain, and fills gaps. Does nothing when all is on chain. */
  repair(): Promise<void>
  /** True when another transaction took the nonce of this one: it can never be on chain. */
  isReplaced(hash: Hex): Promise<boolean>
}

/** The node refused the transaction. */
export class NotSent extends Error {
  constructor(options: { cause: unknown }) {
    super('the node refused the transaction', options)
    this.name = 'NotSent'
  }
}

/** The node did not answer: the transaction is signed and may be on its way. */
export class MaybeSent extends Error {
  constructor(options: { cause: unknown }) {
    super('nobody knows whether the transaction was sent', options)
    this.name = 'MaybeSent'
  }
}

type Options = {
  readonly chain: Chain
  readonly chainId: number
  readonly account: Pick<SettlementAccount, 'address' | 'signTransaction'>
  readonly ledger: Pick<Ledger, 'transactionsFrom' | 'findTransaction'>
  readonly signal: AbortSignal
  /** Most that is offered for a unit of gas; what was sent waits while the chain asks for more. */
  readonly maxFeePerGas?: bigint
  /** What of it goes to whoever makes the block. */
  readonly maxTipPerGas?: bigint
  /**
   * When a transaction that is in no block is replaced by a dearer one; never when absent. Whoever follows transactions by
   * their hash alone must not ask for it: the hash changes.
   */
  readonly replace?: StuckRule
}

const sendBoundMs = 5000
const retryAfterMs = 100
const feesForMs = 3000
const looksForReceipt = 5
const lookAgainMs = 500
/** A node that names more is wrong, or its chain is too dear now: what is sent waits until fees fall (PA9.7). */
const highestFeePerGas = 500_000_000_000n
const highestTip = 50_000_000_000n
const otherNonce = /nonce too (?:low|high)/i
// What took the place of these bytes is our own, too: no other process has the key.
const alreadyKnown =
  /already known|already imported|already exists|known transaction|replacement transaction underpriced/i

/** What signs for a settlement key. */
export type SettlementAccount = Pick<PrivateKeyAccount, 'address' | 'signMessage'> & {
  signTransaction(transaction: Eip1559Transaction): Promise<Hex>
}

type Eip1559Transaction = TransactionSerializableEIP1559 & { readonly type: 'eip1559' }

/** The account of a settlement key in 0x hex; with a curve its transactions are signed by that. @throws RangeError when it is no key. */
export function createSettlementAccount(
  settlementKey: string,
  curve?: Pick<EvmCurve, 'sign'>,
): SettlementAccount {
  if (!/^0x[0-9a-fA-F]{64}$/.test(settlementKey)) throw new RangeError('not a settlement key')
  const account = privateKeyToAccount(`0x${settlementKey.slice(2)}`)
  if (curve === undefined) return account
  const key = Buffer.from(settlementKey.slice(2), 'hex')
  return {
    address: account.address,
    signMessage: (message) => account.signMessage(message),
    signTransaction: (transaction) => {
      const digest = toBytes(keccak256(serializeTransaction(transaction)))
      const { compact, recovery } = curve.sign(digest, key)
      return Promise.resolve(
        serializeTransaction(transaction, {
          r: `0x${toHex(compact.subarray(0, 32))}`,
          s: `0x${toHex(compact.subarray(32))}`,
          yParity: recovery,
        }),
      )
    },
  }
}

type Fees = { readonly readAtMs: number; readonly maxFeePerGas: bigint; readonly tip: bigint }

type State = {
  readonly options: Options
  /** The next free nonce; undefined until the chain was asked, and after anything unclear. Owned by the one turn. */
  next: number | undefined
  fees: Fees | undefined
  readonly places: Places
}

/** A sender whose first act is to repair what an earlier process left. */
export function createSender(options: Options): Sender {
  const state: State = { options, next: undefined, fees: undefined, places: new Map() }
  const turns = createSenderTurns(
    options.account.address,
    () => new NotSent({ cause: 'too many settlements are waiting' }),
  )
  return {
    send: (request) => turns.send(() => sendNext(state, request), request.yields === true),
    repair: () =>
      turns.run(async () => {
        state.next = await findNext(state)
      }),
    isReplaced: async (hash) => {
      const { chain, account, ledger } = options
      const signed = ledger.findTransaction(hash)
      // In this order: a transaction that is mined between the two reads has its receipt.
      const { address } = account
      const mined = await chain.retry(() => chain.client.getTransactionCount({ address }))
      if (signed === undefined || mined <= signed.transactionNonce) return false
      return !(await isOnChain(options, hash))
    },
  }
}

/**
 * Nodes behind one address do not agree on the newest block: whichever is behind does not know the receipt of a
 * transaction that another has counted. So it is looked for again before anybody is told that it can never come.
 */
async function isOnChain({ chain, signal }: Options, hash: Hex): Promise<boolean> {
  for (let look = 1; (await chain.findReceipt(hash, 1)) === undefined; look++) {
    if (look === looksForReceipt) return false
    await pause(lookAgainMs, signal)
  }
  return true
}

async function sendNext(state: State, request: SendRequest): Promise<Hex> {
  const { chain, signal } = state.options
  for (let attempt = 0; ; attempt++) {
    state.next ??= await findNext(state)
    const signed = await sign(state, state.next, request)
    await request.journal(signed)
    state.next++
    const sent = await submit(chain.client, signed, signal)
    if (sent.kind === 'taken') return signed.hash
    state.next = undefined
    if (sent.kind === 'unknown') throw new MaybeSent({ cause: sent.cause })
    await request.forget(signed)
    // The key was used elsewhere, or an earlier answer of the node was lost: ask once for the next nonce.
    if (sent.kind === 'refused' || attempt > 0) throw new NotSent({ cause: sent.cause })
  }
}

/** Sends again every journaled transaction that is not on chain, and gives the nonce after the last one. */
async function findNext(state: State): Promise<number> {
  const { chain, account, ledger, signal } = state.options
  const { client } = chain
  const { address } = account
  const count = (blockTag: 'latest' | 'pending'): Promise<number> =>
    chain.retry(() => client.getTransactionCount({ address, blockTag }))
  const mined = await count('latest')
  const signed = new Map(
    ledger.transactionsFrom(mined).map((each) => [each.transactionNonce, each]),
  )
  const known = await count('pending')
  forgetBelow(state.places, mined)
  const end = Math.max(known, ...[...signed.keys()].map((nonce) => nonce + 1))
  for (let nonce = mined; nonce < end; nonce++) {
    // A nonce that no transaction takes would hold up all later ones for ever.
    const filler = { to: address, data: '0x', gas: 21_000n } as const
    const journaled = signed.get(nonce)
    const sent = journaled === undefined ? undefined : await sendAgain(state, journaled)
    if (sent?.kind === 'refused' || (sent === undefined && nonce >= known)) {
      await submit(client, await sign(state, nonce, filler), signal)
    }
  }
  return end
}

/**
 * The same bytes, or those that took their place; and dearer ones when blocks pass them by, or the node does not want them
 * back: one that looks at the fee of today.
 */
async function sendAgain(state: State, journaled: SignedTransaction): Promise<Sent> {
  const { chain, signal, replace, account, chainId } = state.options
  if (replace === undefined) return submit(chain.client, journaled, signal)
  const block = await chain.retry(() => chain.client.getBlockNumber({ cacheTime: 0 }))
  const now = { nowMs: performance.now(), block }
  const place = placeOf(state.places, journaled, now)
  const sent = await submit(chain.client, place.signed, signal)
  const isDropped = sent.kind === 'refused' && mayReplace(place)
  const isLate = sent.kind === 'taken' && isStuck(place, replace, now)
  if (!isDropped && !isLate) return sent
  const most = boundsOf(state.options)
  const dearer = await signDearer(place, await readFees(state), most, ({ fees, ...call }) =>
    account.signTransaction({
      type: 'eip1559',
      chainId,
      ...call,
      maxFeePerGas: fees.maxFeePerGas,
      maxPriorityFeePerGas: fees.tip,
    }),
  )
  // A node that refuses it may still have the one before.
  if (dearer === undefined) return sent
  const replaced = await submit(chain.client, dearer, signal)
  if (replaced.kind !== 'taken') return sent
  state.places.set(dearer.transactionNonce, {
    signed: dearer,
    count: place.count + 1,
    sinceMs: now.nowMs,
    sinceBlock: now.block,
  })
  return replaced
}

function boundsOf({
  maxFeePerGas = highestFeePerGas,
  maxTipPerGas = highestTip,
}: Options): OfferedFees {
  return { maxFeePerGas, tip: least(maxTipPerGas, maxFeePerGas) }
}

async function sign(
  state: State,
  transactionNonce: number,
  { to, data, gas }: Pick<SendRequest, 'to' | 'data' | 'gas'>,
): Promise<SignedTransaction> {
  const { account, chainId } = state.options
  const { maxFeePerGas, tip } = await readFees(state)
  const raw = await account.signTransaction({
    type: 'eip1559',
    chainId,
    to,
    data,
    gas,
    nonce: transactionNonce,
    maxFeePerGas,
    maxPriorityFeePerGas: tip,
  })
  return { hash: keccak256(raw), raw, transactionNonce }
}

async function readFees(state: State): Promise<Fees> {
  const { chain } = state.options
  const most = boundsOf(state.options)
  const nowMs = performance.now()
  if (state.fees === undefined || nowMs - state.fees.readAtMs > feesForMs) {
    const gasPrice = await chain.retry(() => chain.client.getGasPrice())
    // Room for the base fee to rise fourfold before anything is stuck.
    state.fees = {
      readAtMs: nowMs,
      maxFeePerGas: least(gasPrice * 4n + 1n, most.maxFeePerGas),
      tip: least(gasPrice / 10n + 1n, most.tip),
    }
  }
  return state.fees
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

type Sent =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused' | 'nonce-taken' | 'unknown'; readonly cause: unknown }

/** The same bytes are the same transaction: sending them again is harmless. */
async function submit(
  client: PublicClient,
  signed: SignedTransaction,
  signal: AbortSignal,
): Promise<Sent> {
  const until = performance.now() + sendBoundMs
  for (;;) {
    try {
      await client.sendRawTransaction({ serializedTransaction: signed.raw })
      return { kind: 'taken' }
    } catch (cause) {
      const answer = judgeAnswer(cause)
      if (answer === 'taken') return { kind: 'taken' }
      if (answer === 'nonce-taken') {
        const onChain = await isKnownAtLast(client, signed.hash, signal)
        return onChain === true
          ? { kind: 'taken' }
          : { kind: onChain === false ? answer : 'unknown', cause }
      }
      if (answer === 'refused') return { kind: answer, cause }
      if (performance.now() > until || signal.aborted) return { kind: 'unknown', cause }
    }
    try {
      await pause(retryAfterMs, signal)
    } catch (cause) {
      return { kind: 'unknown', cause }
    }
  }
}

/** An answer by the node is a refusal; everything else says nothing about what became of the bytes. */
function judgeAnswer(error: unknown): 'taken' | 'nonce-taken' | 'refused' | 'unknown' {
  if (!(error instanceof BaseError)) return 'unknown'
  const answer = error.walk((inner) => inner instanceof RpcRequestError)
  if (!(answer instanceof RpcRequestError)) return 'unknown'
  if (alreadyKnown.test(answer.details)) return 'taken'
  if (otherNonce.test(answer.details)) return 'nonce-taken'
  // The node's own trouble, for example while it is starting again or its next block is full.
  return answer.code === -32_603 || answer.code === -32_005 ? 'unknown' : 'refused'
}

/** As `isOnChain`: bytes that were sent before may have been mined, and the node that is asked may be behind. */
async function isKnownAtLast(
  client: PublicClient,
  hash: Hex,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  for (let look = 1; ; look++) {
    const known = await isKnown(client, hash)
    if (known !== false || look === looksForReceipt) return known
    try {
      await pause(lookAgainMs, signal)
    } catch {
      return undefined
    }
  }
}

async function isKnown(client: PublicClient, hash: Hex): Promise<boolean | undefined> {
  try {
    await client.getTransactionReceipt({ hash })
    return true
  } catch (error) {
    return error instanceof BaseError && error.name === 'TransactionReceiptNotFoundError'
      ? false
      : undefined
  }
}
