/** What was settled and is taken back by a reorganisation is settled again (spec/payment.md PA29.6). */
import { createSettlementWatch, type SettlementLook } from '../settlement-watch.ts'
import { BaseError, type Hex } from 'viem'
import { ChainUnreachable, isPaidBy, type Chain } from './chain.ts'
import type { Ledger, PaymentRecord } from './ledger.ts'
import type { PaymentKey } from './payment-key.ts'
import type { Terms } from './offer.ts'
import { pause } from './pause.ts'
import type { Settler } from './settlement.ts'

type Options = {
  readonly terms: Terms
  readonly chain: Chain
  readonly ledger: Ledger
  readonly settler: Settler
  readonly finalDepth: number
  readonly signal: AbortSignal
  readonly onFault: (error: unknown) => void
}

const intervalMs = 1000

/**
 * Follows all that is confirmed and not final, until the signal is aborted. Never rejects. A fault of the ledger is told
 * and ends it: what is not final is taken up by the next process.
 */
export async function followSettled(options: Options): Promise<void> {
  const { chain, ledger, finalDepth, signal, onFault } = options
  const watch = createSettlementWatch(createHeadReader(chain), finalDepth)
  const open = new Map<string, PaymentKey>()
  try {
    while (!signal.aborted) {
      for (const key of ledger.takeConfirmed()) {
        const place = `${key.payer}:${key.nonce}`
        open.set(place, key)
        watch.follow(place, ledger.find(key)?.transaction)
        // Where nothing is followed it is final at once.
        if (!watch.isFollowed(place)) ledger.finish(key)
      }
      await watch
        .step({
          look: (place, transaction) => look(options, recordAt(options, open, place), transaction),
          gone: (place) => {
            settleAgain(options, recordAt(options, open, place))
            open.delete(place)
          },
          final: (place) => {
            ledger.finish(keyAt(open, place))
            open.delete(place)
          },
        })
        .catch(rethrowUnlessUnread)
      await pause(intervalMs, signal)
    }
  } catch (error) {
    if (!signal.aborted) onFault(error)
  }
}

/** Blocks, of which anything that is none is a node that does not answer: it ends no following. */
export function createHeadReader({ client }: Chain): Pick<Chain['client'], 'getBlock'> {
  return {
    getBlock: async (block) => {
      const found = await client.getBlock(block).catch((cause: unknown) => {
        throw cause instanceof BaseError ? cause : new ChainUnreachable({ cause })
      })
      if (typeof found.number === 'bigint') return found
      throw new ChainUnreachable({ cause: new TypeError('a block has no number') })
    },
  }
}

/** The next step asks again: neither a silent node nor several that disagree are a fault of ours. */
export function rethrowUnlessUnread(error: unknown): void {
  if (error instanceof ChainUnreachable || error instanceof BaseError) return
  throw error
}

function keyAt(open: ReadonlyMap<string, PaymentKey>, place: string): PaymentKey {
  const key = open.get(place)
  if (key === undefined) throw new Error('a settlement is followed that nobody knows')
  return key
}

function recordAt(
  { ledger }: Options,
  open: ReadonlyMap<string, PaymentKey>,
  place: string,
): PaymentRecord {
  const record = ledger.find(keyAt(open, place))
  if (record === undefined) throw new Error('a settlement without a payment')
  return record
}

async function look(
  { chain, terms }: Options,
  { authorization, reservedBlock }: PaymentRecord,
  transaction: Hex | undefined,
): Promise<SettlementLook> {
  const known = transaction === undefined ? undefined : await chain.findReceipt(transaction, 1)
  if (known !== undefined && isPaidBy(terms, authorization, known)) {
    return { kind: 'there', blockNumber: known.blockNumber }
  }
  if (!(await chain.isNonceUsed(authorization))) return { kind: 'gone' }
  // By another transaction, after all: ours, that of a stranger, or none that pays us.
  const use = await chain.findUse(authorization, reservedBlock)
  if (use.kind === 'payment') return { kind: 'there', transaction: use.transaction }
  return { kind: use.kind === 'otherwise' ? 'gone' : 'unclear' }
}

/** After a crash here the next process finds it unsettled, as any other payment. */
function settleAgain({ ledger, settler }: Options, record: PaymentRecord): void {
  const key = { payer: record.authorization.from, nonce: record.authorization.nonce }
  ledger.revoke(key)
  // Never rejects. What was delivered, or is being delivered as paid, is owed until the authorization expires.
  void settler.settle(ledger.find(key) ?? record, record.use !== 'free')
}
