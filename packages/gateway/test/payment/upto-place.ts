/** Charges of `upto` on a chain of their own, and what settles them; one ledger for each name. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import { keccak256, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { createTransactionBook } from '../../src/payment/channel/transaction-book.ts'
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'
import { createChain, type Chain } from '../../src/payment/exact/chain.ts'
import { createTerms } from '../../src/payment/exact/offer.ts'
import { createSender } from '../../src/payment/exact/sender.ts'
import { openDurableLedger, type DurableLedger } from '../../src/payment/ledger/durable-ledger.ts'
import { paymentKey } from '../../src/payment/ledger/ledger.ts'
import type { UptoPermit } from '../../src/payment/ledger/upto-account.ts'
import { createSettlementWatch } from '../../src/payment/settlement-watch.ts'
import { createUptoUseFinder } from '../../src/payment/upto/find-use.ts'
import { stepUptoSettlements } from '../../src/payment/upto/settle-upto.ts'
import type { UptoSettlement } from '../../src/payment/upto/upto-settlement.ts'
import { wordOf } from '../ledger/sample-events.ts'
import { createApprovedPayer } from './approved-payer.ts'
import { startBareChain, type BareChain } from './bare-chain.ts'
import { lower } from './channel-payer.ts'
import { deployOperator } from './operator.ts'

export const payTo = privateKeyToAddress(keccak256('0x55'))
export const permit2 = lower(baseSepoliaX402.permit2)
const curve = await loadEvmCurve()

/** What a payer signed and what its call cost. */
export type TestCharge = {
  readonly nonce: bigint
  readonly amountAtomic: bigint
  /** The approved payer's when absent. */
  readonly payerKey?: Hex
  /** 120 when absent. */
  readonly forSeconds?: number
}

/** A chain with a settler and a payer. */
export type UptoPlace = {
  readonly chain: BareChain
  readonly reads: Chain
  readonly payerKey: Hex
  /** The approved one, in lower case. */
  readonly payer: Hex
  openLedger(name: string): Promise<DurableLedger>
  settlementOf(ledger: DurableLedger): UptoSettlement
  /** A payment whose call has ended at this charge. */
  charge(ledger: DurableLedger, charge: TestCharge): Promise<void>
  stateOf(ledger: DurableLedger, nonce: bigint): string | undefined
  stop(): Promise<void>
}

/** Starts the chain. */
export async function startUptoPlace(): Promise<UptoPlace> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-settling-'))
  const ending = new AbortController()
  const { signal } = ending
  const chain = await startBareChain()
  const settlementKey = chain.nextSettlementKey()
  const operator = await deployOperator(chain, keccak256('0x66'), payTo)
  await operator.registerKey(settlementKey)
  const approvedKey = await createApprovedPayer(chain)
  const payer = lower(privateKeyToAddress(approvedKey))
  const settler = lower(operator.settler)
  const terms = {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo,
    maxTimeoutSeconds: 60,
    resourceBaseUrl: '',
  } as const
  const reads = createChain(createTerms(terms), chain.rpcUrl, signal)

  return {
    chain,
    reads,
    payerKey: approvedKey,
    payer,
    openLedger: (name) =>
      openDurableLedger({
        directory: join(directory, name),
        clock: Date.now,
        onFault: (error) => {
          throw error
        },
      }),
    settlementOf: (ledger) => {
      const account = privateKeyToAccount(settlementKey)
      const book = createTransactionBook(ledger)
      return {
        ledger,
        sender: createSender({ chain: reads, chainId: 84_532, account, ledger: book, signal }),
        settler,
        hashCharge: createUptoChargeHasher(84_532n, settler),
        sign: (digest) => curve.sign(digest, Buffer.from(settlementKey.slice(2), 'hex')),
        simulate: (call) => chain.client.call({ account: account.address, ...call }),
        reverted: new Map(),
        later: new Map(),
        doubts: new Map(),
        // What the chain says is believed at once; `certainty` has a test of its own.
        certainty: { blocks: 0n, ms: 0 },
        findUse: createUptoUseFinder(reads.client, { permit2, settler }),
        watch: createSettlementWatch(reads.client, 8),
        findAnyReceipt: (hash) => reads.findReceipt(hash, 1),
        findReceipt: (hash) => reads.findReceipt(hash, 1),
        clock: Date.now,
      }
    },
    charge: async (ledger, { nonce, amountAtomic, payerKey = approvedKey, forSeconds = 120 }) => {
      const from = lower(privateKeyToAddress(payerKey))
      const permit = signPermit(settler, { nonce, payerKey, forSeconds })
      const callId = nonce.toString(16).padStart(32, '0')
      const funds = { fundsAtomic: 5_000_000n, maxExposureAtomic: 5_000_000n }
      const call = { payer: from, permit, callId, requestHash: wordOf(1), ...funds }
      ledger.apply({ type: 'upto-reserved', ...call })
      ledger.apply({ type: 'upto-charged', payer: from, nonce, amountAtomic })
      await ledger.durable()
    },
    stateOf: (ledger, nonce) => ledger.state.payments.get(paymentKey(payer, nonce))?.state.kind,
    stop: async () => {
      ending.abort()
      await chain.stop()
      rmSync(directory, { recursive: true })
    },
  }
}

function signPermit(
  settler: Hex,
  { nonce, payerKey, forSeconds }: Required<Omit<TestCharge, 'amountAtomic'>>,
): UptoPermit {
  const permit = {
    token: lower(baseSepoliaUsdc.address),
    amountAtomic: 5000n,
    spender: lower(baseSepoliaX402.uptoPermit2Proxy),
    nonce,
    deadlineSeconds: BigInt(Math.floor(Date.now() / 1000) + forSeconds),
  }
  const witness = { to: lower(payTo), facilitator: settler, validAfterSeconds: 0n }
  const digest = createPermit2Domain(84_532n, permit2).hashUpto(permit, witness)
  const signature = encodeEvmSignature(curve.sign(digest, Buffer.from(payerKey.slice(2), 'hex')))
  return { ...permit, ...witness, signature }
}

/** Within a bound. */
export async function stepUntil(settlement: UptoSettlement, isDone: () => boolean): Promise<void> {
  const end = performance.now() + 60_000
  while (!isDone()) {
    if (performance.now() > end) throw new Error('the chain did not bring it about')
    await stepUptoSettlements(settlement)
  }
}
