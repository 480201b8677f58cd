/** What payment alone takes, without HTTP: CPU of every thread for a voucher and its steps, and for payments that are refused. */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import {
  createChannelOffer,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import { privateKeyToAddress } from 'viem/accounts'
import type {
  AdmissionRequest,
  PaymentScheme,
} from '../../packages/gateway/src/payment/admission.ts'
import { checkVoucherSigner } from '../../packages/gateway/src/payment/channel/channel-context.ts'
import {
  openChannelScheme,
  type ChannelScheme,
} from '../../packages/gateway/src/payment/channel/open-channel-scheme.ts'
import {
  createVoucherMemo,
  readVoucher,
} from '../../packages/gateway/src/payment/channel/voucher-memo.ts'
import { createMeteredScheme } from '../../packages/gateway/src/payment/metered/metered-scheme.ts'
import {
  createChannelPayer,
  type ChannelPayer,
} from '../../packages/gateway/test/payment/channel-payer.ts'
import { createBadPayments } from './bad-payments.ts'
import type { BenchRun } from './measure-case.ts'

/** Microseconds of CPU, the least of the rounds. */
export type StepReport = {
  /** A whole payment, this many calls at once: admission, release, charge, both groups of the journal. */
  readonly voucherUs: Readonly<Record<'atOnce1' | 'atOnce32', number>>
  /** Steps of it, each alone. */
  readonly stepsUs: Readonly<Record<string, number>>
  /** Payments that are refused, by their code, and what is wrong with them. */
  readonly refusedUs: Readonly<Record<string, number>>
}

const resourceBaseUrl = 'http://127.0.0.1'
const path = '/v1/chat/completions'
const amountAtomic = 1000n
const chargedAtomic = 370n
const channels = 32
const rounds = 5

type Bench = {
  readonly scheme: PaymentScheme
  readonly channel: ChannelScheme
  readonly terms: ChannelTerms
  readonly payers: readonly ChannelPayer[]
  /** By payer; owned by `signVouchers`. */
  readonly charged: bigint[]
}

/** Measures in this process, on a ledger of its own. */
export async function measureSteps(run: BenchRun): Promise<StepReport> {
  run.say('steps of a voucher, and refused payments')
  const bench = await open(run)
  try {
    const calls = run.plan.windows > 2 ? 2000 : 100
    const atOnce32 = await measureVouchers(bench, calls, channels)
    const atOnce1 = await measureVouchers(bench, calls / 4, 1)
    return {
      voucherUs: { atOnce1, atOnce32 },
      stepsUs: measureParts(bench, calls),
      refusedUs: await measureRefused(bench, calls),
    }
  } finally {
    await bench.channel.close()
  }
}

async function open({ network, folder }: BenchRun): Promise<Bench> {
  const directory = join(folder, 'steps')
  mkdirSync(directory, { mode: 0o700 })
  const settlementKey = network.chain.nextSettlementKey()
  const payTo = privateKeyToAddress(settlementKey)
  const terms: ChannelTerms = {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo,
    maxTimeoutSeconds: 600,
    receiverAuthorizer: payTo,
    withdrawDelaySeconds: 3600,
    minDepositAtomic: 1000n,
    maxRunningCalls: 8,
    erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
    permit2Collector: baseSepoliaX402.permit2DepositCollector,
  }
  const channel = await openChannelScheme({
    terms,
    batchContract: baseSepoliaX402.batchSettlement,
    permit2: baseSepoliaX402.permit2,
    rpcUrl: network.chain.rpcUrl,
    settlementKey,
    directory,
    depth: 1,
    claimPolicy: { maxUnclaimedAtomic: 10n ** 18n, maxTotalUnclaimedAtomic: 10n ** 18n },
    depositTimeoutMs: 15_000,
    clock: Date.now,
    onDiskFault: (error) => {
      throw error
    },
  })
  await channel.manager.step()
  const payers = Array.from({ length: channels }, (_, index) =>
    createChannelPayer(`0x${'77'.repeat(32)}`, terms, index),
  )
  for (const { channelId, config } of payers) {
    channel.context.ledger.apply({ type: 'channel-opened', channelId, config, view: deepView })
  }
  const schemes = {
    upto: undefined,
    channel: channel.context,
    exact: undefined,
    resourceBaseUrl,
    isSelling: () => true,
  }
  const scheme = createMeteredScheme(schemes, () => channel.close())
  return { scheme, channel, terms, payers, charged: payers.map(() => 0n) }
}

/** A channel that nobody empties. */
const deepView = {
  depositedAtomic: 10n ** 15n,
  claimedAtomic: 0n,
  withdrawingAtomic: 0n,
  withdrawRequestedAtSeconds: 0n,
  refundNonce: 0n,
  blockNumber: 0n,
  finalBlockNumber: 0n,
}

/** The next payments of each channel, in the order in which they are used. */
function signVouchers(
  { payers, terms, charged }: Bench,
  calls: number,
  atOnce: number,
): string[][] {
  const requirements = offerOf(terms).requirements
  return payers.slice(0, atOnce).map((payer, index) =>
    Array.from({ length: Math.ceil(calls / atOnce) }, () => {
      const before = charged[index] ?? 0n
      charged[index] = before + chargedAtomic
      return encode(requirements, payer.payloadOf('voucher', before + amountAtomic))
    }),
  )
}

function offerOf(terms: ChannelTerms): ReturnType<typeof createChannelOffer> {
  return createChannelOffer(terms, amountAtomic, `${resourceBaseUrl}${path}`)
}

function encode(accepted: unknown, payload: unknown): string {
  return Buffer.from(JSON.stringify({ x402Version: 2, accepted, payload })).toString('base64')
}

async function measureVouchers(bench: Bench, calls: number, atOnce: number): Promise<number> {
  let leastUs = Infinity
  for (let round = 0; round < rounds; round++) {
    const headers = signVouchers(bench, calls, atOnce)
    const before = process.cpuUsage()
    await Promise.all(headers.map((ofChannel) => payAll(bench.scheme, ofChannel)))
    const { user, system } = process.cpuUsage(before)
    leastUs = Math.min(leastUs, (user + system) / headers.flat().length)
  }
  return leastUs
}

async function payAll(scheme: PaymentScheme, headers: readonly string[]): Promise<void> {
  for (const header of headers) {
    const admission = await scheme.admit(requestOf(header))
    if (admission.kind !== 'admitted') throw new Error('a good payment was refused')
    const { payment } = admission
    await payment.release('whole')
    await payment.complete('used', chargedAtomic)
    if (payment.metered?.headers()['payment-response'] === undefined) throw new Error('not told')
    payment.metered.receiptStored()
  }
}

const body = new Uint8Array(32)

function requestOf(header: string): AdmissionRequest {
  return {
    receiptId: randomBytes(16),
    method: 'POST',
    path,
    bodyDigest: () => body,
    headers: { 'payment-signature': header },
    model: 'bench',
    priceAtomic: amountAtomic,
    isPricedByUse: true,
  }
}

function measureParts({ payers, terms, channel }: Bench, calls: number): Record<string, number> {
  const [payer] = payers
  if (payer === undefined) throw new Error('no payer')
  const { context } = channel
  const offer = offerOf(terms)
  const payload = payer.payloadOf('voucher', amountAtomic)
  const header = encode(offer.requirements, payload)
  const memo = createVoucherMemo()
  const read = readVoucher(parsePaymentHeader(header), offer, terms)
  memo.learn(header, offer, read)
  const { curve, domain } = context
  const digest = domain.hashVoucher(read.channelIdBytes, amountAtomic)
  const { signature } = read.payment.voucher
  return {
    'read a header that is new': measure(calls, () => {
      readVoucher(parsePaymentHeader(header), offer, terms)
    }),
    'read a header of a known channel': measure(calls, () => {
      if (memo.recall(header, offer) === undefined) throw new Error('not known')
    }),
    'judge the form of a signature': measure(calls, () => {
      parseEvmSignature(read.signature)
    }),
    'hash a voucher': measure(calls, () => {
      domain.hashVoucher(read.channelIdBytes, amountAtomic)
    }),
    'recover an address': measure(calls, () => {
      curve.recoverAddress(digest, signature)
    }),
    'check the signer of a voucher': measure(calls, () => {
      checkVoucherSigner(context, read.channelIdBytes, read.payment)
    }),
  }
}

/** The least of the rounds. */
function measure(calls: number, work: () => void): number {
  let leastUs = Infinity
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    for (let index = 0; index < calls; index++) work()
    const { user, system } = process.cpuUsage(before)
    leastUs = Math.min(leastUs, (user + system) / calls)
  }
  return leastUs
}

/** @throws Error when one is admitted, or refused for another reason. */
async function measureRefused(bench: Bench, calls: number): Promise<Record<string, number>> {
  const [payer] = bench.payers
  if (payer === undefined) throw new Error('no payer')
  const bad = createBadPayments(offerOf(bench.terms).requirements, (ceilingAtomic) =>
    payer.payloadOf('voucher', (bench.charged[0] ?? 0n) + ceilingAtomic),
  )
  const costs: Record<string, number> = {}
  for (const { name, code, header } of bad) {
    let leastUs = Infinity
    for (let round = 0; round < rounds; round++) {
      const before = process.cpuUsage()
      for (let index = 0; index < calls / 4; index++) {
        const admission = await bench.scheme.admit(requestOf(header))
        if (admission.kind !== 'refused' || admission.refusal.code !== code) {
          throw new Error(`${name}: ${admission.kind === 'refused' ? admission.refusal.code : ''}`)
        }
      }
      const { user, system } = process.cpuUsage(before)
      leastUs = Math.min(leastUs, (user + system) / (calls / 4))
    }
    costs[`${code}: ${name}`] = leastUs
  }
  return costs
}
