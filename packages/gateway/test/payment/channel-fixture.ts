/** `batch-settlement` on a real chain, with one payer. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import type { ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import { keccak256, toHex, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { onTestFinished } from 'vitest'
import {
  admitChannelPayment,
  type ChannelAdmission,
  type ChannelReservation,
} from '../../src/payment/channel/admit-channel-payment.ts'
import {
  openChannelScheme,
  type ChannelScheme,
  type ChannelSchemeOptions,
} from '../../src/payment/channel/open-channel-scheme.ts'
import { wordOf } from '../ledger/sample-events.ts'
import type { TestChain } from './chain-process.ts'
import { createChannelPayer, offerOf, type ChannelPayer } from './channel-payer.ts'

let calls = 0
/** The payee of one test: settlements of others must not be seen. */
let payees = 0

/** A scheme on a chain, and a payer with money. */
export type Fixture = {
  readonly chain: TestChain
  readonly scheme: ChannelScheme
  readonly options: ChannelSchemeOptions
  readonly payTo: Hex
  readonly key: Hex
  readonly settlementKey: Hex
}

/** Opens the scheme with a payee of its own; it is closed when the test ends. */
export async function startScheme(
  chain: TestChain,
  {
    receiverAuthorizer,
    payTo = privateKeyToAddress(keccak256(toHex(`payee ${payees++}`))),
    ...changes
  }: Partial<ChannelSchemeOptions> & {
    readonly receiverAuthorizer?: string
    readonly payTo?: Hex
  } = {},
): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-channel-'))
  const settlementKey = chain.nextSettlementKey()
  const terms: ChannelTerms = {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo,
    maxTimeoutSeconds: 600,
    receiverAuthorizer: receiverAuthorizer ?? privateKeyToAddress(settlementKey),
    withdrawDelaySeconds: 900,
    minDepositAtomic: 1000n,
    maxRunningCalls: 8,
    erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
    permit2Collector: baseSepoliaX402.permit2DepositCollector,
  }
  const options: ChannelSchemeOptions = {
    terms,
    batchContract: baseSepoliaX402.batchSettlement,
    permit2: baseSepoliaX402.permit2,
    rpcUrl: chain.rpcUrl,
    settlementKey,
    directory,
    depth: 1,
    claimPolicy: { maxUnclaimedAtomic: 10_000n, maxTotalUnclaimedAtomic: 100_000n },
    depositTimeoutMs: 60_000,
    clock: Date.now,
    onDiskFault: (error) => {
      throw error
    },
    ...changes,
  }
  const scheme = await openChannelScheme(options)
  onTestFinished(async () => {
    await scheme.close()
    rmSync(directory, { recursive: true })
  })
  await scheme.manager.step()
  return { chain, scheme, options, payTo, key: nextPayerKey(chain), settlementKey }
}

/** The chain gives accounts; channels need the key. */
export function nextPayerKey(chain: TestChain): Hex {
  const { address } = chain.nextPayer()
  for (let index = 0; index < 48; index++) {
    const key = keccak256(toHex(`payer ${index}`))
    if (privateKeyToAddress(key) === address) return key
  }
  throw new Error('the chain gave an account of another kind')
}

/** Presents a payment for a call with this ceiling. */
export async function admit(
  { scheme, options }: Fixture,
  amountAtomic: bigint,
  present: (
    offer: ReturnType<typeof offerOf>,
  ) => Parameters<typeof admitChannelPayment>[1]['presented'],
  isStream = false,
  more: Pick<Parameters<typeof admitChannelPayment>[1], 'enter' | 'name'> = {},
): Promise<ChannelAdmission> {
  const offer = offerOf(options.terms, amountAtomic)
  calls++
  return admitChannelPayment(scheme.context, {
    presented: present(offer),
    offer,
    callId: calls.toString(16).padStart(32, '0'),
    requestHash: wordOf(calls),
    isStream,
    ...more,
  })
}

/** The reservation of a call that must be admitted. */
export function expectReservation(admission: ChannelAdmission): ChannelReservation {
  if (admission.kind !== 'admitted') throw new Error(`not admitted: ${codeOf(admission)}`)
  return admission.reservation
}

/** Why it was refused, or `admitted`. */
export function codeOf(admission: ChannelAdmission): string {
  return 'code' in admission ? admission.code : admission.kind
}

/** A payer whose channel holds money, after one call of 100 that cost 40. */
export async function openPaidChannel(
  fixture: Fixture,
  depositAtomic = 20_000n,
  channel = 0,
): Promise<ChannelPayer> {
  const payer = createChannelPayer(fixture.key, fixture.options.terms, channel)
  const first = await admit(fixture, 100n, (offer) => payer.deposit(offer, 100n, depositAtomic))
  await expectReservation(first).charge(40n)
  return payer
}

/** Test USDC of an account. */
export async function balanceOf({ chain }: Fixture, owner: Hex): Promise<bigint> {
  return chain.client.readContract({
    address: baseSepoliaUsdc.address,
    abi: testUsdcAbi,
    functionName: 'balanceOf',
    args: [owner],
  })
}

/** K, as the contract has it. */
export async function claimedOf({ chain }: Fixture, channelId: Hex): Promise<bigint> {
  const [, claimed] = await chain.client.readContract({
    address: baseSepoliaX402.batchSettlement,
    abi: batchSettlementAbi,
    functionName: 'channels',
    args: [channelId],
  })
  return claimed
}

/** Steps until the ledger says so; the chain makes a block a second. */
export async function stepUntil({ scheme }: Fixture, isDone: () => boolean): Promise<void> {
  const end = performance.now() + 60_000
  while (!isDone()) {
    if (performance.now() > end) throw new Error('the chain did not bring it about')
    await scheme.manager.step()
    // The chain makes a block a second: looking more often only costs.
    await setTimeout(40)
  }
}
