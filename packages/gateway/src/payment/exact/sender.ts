/** Sends the transactions of the settlement key: one nonce after the other, each signed and journaled before it is sent. */
import { BaseError, keccak256, RpcRequestError, type Hex, type PublicClient } from 'viem'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import type { Chain } from './chain.ts'
import type { Ledger, SignedTransaction } from './ledger.ts'
import { pause } from './pause.ts'

/** Owns the nonces of the settlement key. No other process may use that key. */
export type Sender = {
  /**
   * Signs, calls `journal` (which makes the transaction durable), then sends. A crash between the two is repaired by
   * sending the same bytes again. Resolves when the node took it.
   *
   * @throws NotSent when the node refused it (after `forget`), MaybeSent when nobody knows.
   */
  send(transaction: {
    readonly to: Hex
    readonly data: Hex
    readonly gas: bigint
    readonly journal: (signed: SignedTransaction) => void
    readonly forget: (signed: SignedTransaction) => void
  }): Promise<Hex>
  /** Sends again what was signed but is not on chain, and fills gaps. Does nothing when all is on chain. */
  repair(): Promise<void>
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
  readonly account: PrivateKeyAccount
  readonly ledger: Pick<Ledger, 'transactionsFrom'>
  readonly signal: AbortSignal
}

const sendBoundMs = 5000
const retryAfterMs = 100
const feesForMs = 3000
const maxWaiting = 1024
const otherNonce = /nonce too (?:low|high)/i
const alreadyKnown = /already known|already imported|already exists|known transaction/i

/** The account of a settlement key in 0x hex. @throws RangeError when it is no key. */
export function createSettlementAccount(settlementKey: string): PrivateKeyAccount {
  if (!/^0x[0-9a-fA-F]{64}$/.test(settlementKey)) throw new RangeError('not a settlement key')
  return privateKeyToAccount(`0x${settlementKey.slice(2)}`)
}

/** A sender whose first act is to repair what an earlier process left. */
export function createSender(options: Options): Sender {
  const { chain, account, chainId, signal } = options
  const { client } = chain
  /** The next free nonce; undefined until the chain was asked, and after anything unclear. */
  let next: number | undefined
  let fees:
    | { readonly readAtMs: number; readonly maxFeePerGas: bigint; readonly tip: bigint }
    | undefined
  let queue: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= maxWaiting) {
      return Promise.reject(new NotSent({ cause: new Error('too many settlements are waiting') }))
    }
    waiting++
    const turn = queue.then(work, work).finally(() => {
      waiting--
    })
    queue = turn.catch(() => undefined)
    return turn
  }

  async function readFees(): Promise<{ readonly maxFeePerGas: bigint; readonly tip: bigint }> {
    const nowMs = performance.now()
    if (fees === undefined || nowMs - fees.readAtMs > feesForMs) {
      const gasPrice = await chain.retry(() => client.getGasPrice())
      // Room for the base fee to grow by half ten times over; a stuck transaction is never replaced.
      fees = { readAtMs: nowMs, maxFeePerGas: gasPrice * 4n + 1n, tip: gasPrice / 10n + 1n }
    }
    return fees
  }

  async function sign(
    transactionNonce: number,
    request: { readonly to: Hex; readonly data: Hex; readonly gas: bigint },
  ): Promise<SignedTransaction> {
    const { maxFeePerGas, tip } = await readFees()
    const raw = await account.signTransaction({
      ...request,
      type: 'eip1559',
      chainId,
      nonce: transactionNonce,
      maxFeePerGas,
      maxPriorityFeePerGas: tip,
    })
    return { hash: keccak256(raw), raw, transactionNonce }
  }

  async function findNext(): Promise<number> {
    const count = await chain.retry(() =>
      client.getTransactionCount({ address: account.address, blockTag: 'latest' }),
    )
    const pending = new Map(
      options.ledger.transactionsFrom(count).map((signed) => [signed.transactionNonce, signed]),
    )
    const known = await chain.retry(() =>
      client.getTransactionCount({ address: account.address, blockTag: 'pending' }),
    )
    const end = Math.max(known, ...[...pending.keys()].map((nonce) => nonce + 1))
    for (let nonce = count; nonce < end; nonce++) {
      const signed = pending.get(nonce)
      if (signed !== undefined) await submit(client, signed, signal)
      // A nonce that is neither journaled nor known to the chain would hold up all later ones for ever.
      else if (nonce >= known) {
        const filler = { to: account.address, data: '0x', gas: 21_000n } as const
        await submit(client, await sign(nonce, filler), signal)
      }
    }
    return end
  }

  return {
    send: ({ to, data, gas, journal, forget }) =>
      inTurn(async () => {
        for (let attempt = 0; ; attempt++) {
          next ??= await findNext()
          const signed = await sign(next, { to, data, gas })
          journal(signed)
          next++
          const sent = await submit(client, signed, signal)
          if (sent.kind === 'taken') return signed.hash
          next = undefined
          if (sent.kind === 'unknown') throw new MaybeSent({ cause: sent.cause })
          forget(signed)
          // The key was used elsewhere, or an earlier answer of the node was lost: ask once for the next nonce.
          if (sent.kind === 'refused' || attempt > 0) throw new NotSent({ cause: sent.cause })
        }
      }),
    repair: () =>
      inTurn(async () => {
        next = await findNext()
      }),
  }
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
        const onChain = await isKnown(client, signed.hash)
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
