/** A collector over a real ledger and sender, on an anvil whose test dollar can become what real tokens can become. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { gatewayPayeeAbi, gatewayPayeeCreationCode } from '@countersign/contracts/gateway-payee'
import { moodyUsdcAbi, moodyUsdcCreationCode } from '@countersign/contracts/moody-usdc'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  encodeDeployData,
  encodeFunctionData,
  toFunctionSelector,
  type Abi,
  type PublicClient,
} from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import type { CollectPolicy } from '../../src/payment/collect/choose-step.ts'
import type { CollectNews } from '../../src/payment/collect/collect-status.ts'
import { createCollector, type Collector } from '../../src/payment/collect/collector.ts'
import type { Sender, SendRequest } from '../../src/payment/exact/sender.ts'
import { walletOf } from './approved-payer.ts'
import { startBareChain, type BareChain } from './bare-chain.ts'
import { openPaidChannel, startScheme, stepUntil, type Fixture } from './channel-fixture.ts'

/** The test dollar. */
export const token: Hex = lower(baseSepoliaUsdc.address)
/** The contract of the channels. */
export const batch: Hex = lower(baseSepoliaX402.batchSettlement)
const forward = toFunctionSelector('forward(address)')
const settle = toFunctionSelector('settle(address,address)')
/** The time of the chain is an hour behind. */
const channelClock = (): number => Date.now() - 3_600_000

/** Changes its moods, and pays anybody. */
export type MoodyChain = BareChain & {
  setPaused(state: boolean): Promise<void>
  setBlocked(account: Hex, state: boolean): Promise<void>
  setFee(basisPoints: bigint): Promise<void>
  mint(to: Hex, amountAtomic: bigint): Promise<void>
  tokensOf(account: Hex): Promise<bigint>
  /** Sends a call of a stranger without waiting for a block, before all that pays less. */
  hurry(to: Hex, data: Hex): Promise<void>
  /** The address of the contract. */
  deploy(creation: Hex): Promise<Hex>
}

/** What a test collects with. */
export type Collecting = {
  readonly chain: MoodyChain
  readonly scheme: Fixture
  readonly payTo: Hex
  readonly owner: Hex
  collector: Collector
  readonly news: CollectNews[]
  /** What the sender was asked to sign for collecting. */
  readonly asked: SendRequest[]
  /** Owned by the test. */
  nowMs: number
  /** Has so many channels charged 40 each, and claims it. */
  earn(channels?: number): Promise<void>
  /** Steps until nothing is under way, then once more. */
  settleDown(): Promise<void>
  /** Another collector on the same records, as after a start; `off`: nothing is to be collected any more. */
  restart(changes?: Partial<CollectPolicy> | 'off'): void
}

/** The policy of a test that says nothing else: everything at once. */
export const eagerPolicy: CollectPolicy = {
  minAtomic: 1n,
  minIntervalMs: 0,
  maxWaitMs: undefined,
  maxGasPerDay: 10n ** 9n,
  maxGasPriceWei: 10n ** 12n,
}

/** Starts the chain and puts the moody token in the place of the test dollar. */
export async function startMoodyChain(): Promise<MoodyChain> {
  const chain = await startBareChain()
  const wallet = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  const address = await deploy(chain, wallet, moodyUsdcCreationCode)
  await chain.call('anvil_setCode', token, await chain.client.getCode({ address }))
  const moody = { address: token, abi: moodyUsdcAbi } as const
  const set = async (
    functionName: 'setPaused' | 'setBlocked' | 'setFee' | 'mint',
    args: readonly unknown[],
  ): Promise<void> => {
    const data = encodeFunctionData({ abi: [...moody.abi] as Abi, functionName, args })
    const hash = await wallet.sendTransaction({ to: token, data })
    if ((await chain.mined(hash)).status !== 'success') throw new Error(`${functionName} failed`)
  }
  return {
    ...chain,
    deploy: (creation) => deploy(chain, wallet, creation),
    setPaused: (state) => set('setPaused', [state]),
    setBlocked: (account, state) => set('setBlocked', [account, state]),
    setFee: (basisPoints) => set('setFee', [basisPoints]),
    mint: (to, amountAtomic) => set('mint', [to, amountAtomic]),
    tokensOf: (account) =>
      chain.client.readContract({ ...moody, functionName: 'balanceOf', args: [account] }),
    hurry: async (to, data) => {
      const fees = { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n, gas: 100_000n }
      await wallet.sendTransaction({ to, data, ...fees })
    },
  }
}

let owners = 0

/** Opens a scheme with a payee contract of its own, and a collector that has not looked. */
export async function startCollecting(
  chain: MoodyChain,
  changes: Partial<CollectPolicy> = {},
  given: { readonly payTo?: Hex; readonly client?: PublicClient } = {},
): Promise<Collecting> {
  const owner: Hex = `0x${(0xc0ffee00 + owners++).toString(16).padStart(40, '0')}`
  const code = encodeDeployData({
    abi: gatewayPayeeAbi,
    bytecode: gatewayPayeeCreationCode,
    args: [owner],
  })
  const payTo = given.payTo ?? lower(await chain.deploy(code))
  const scheme = await startScheme(chain, { payTo, clock: channelClock })
  const asked: SendRequest[] = []
  const { context } = scheme.scheme
  const sender: Sender = {
    ...context.sender,
    send: (request) => {
      asked.push(request)
      return context.sender.send(request)
    },
  }
  // Owned by this object; a restart puts another collector in.
  let channels = 0
  const news: CollectNews[] = []
  const open = (policy: CollectPolicy | undefined): Collector =>
    createCollector({
      client: given.client ?? chain.client,
      ledger: context.ledger,
      sender,
      senderAddress: privateKeyToAddress(scheme.settlementKey),
      asset: token,
      payTos: [{ address: payTo, batch }],
      policy,
      findReceipt: context.findReceipt,
      isOpen: () => true,
      onNews: (each) => news.push(each),
      clock: () => collecting.nowMs,
    })
  const policy = { ...eagerPolicy, ...changes }
  const collecting: Collecting = {
    chain,
    scheme,
    payTo,
    owner,
    collector: open(policy),
    news,
    asked,
    nowMs: Date.now(),
    earn: async (count = 1) => {
      for (let each = 0; each < count; each++) {
        await openPaidChannel(scheme, 1000n, channels++)
      }
      await scheme.scheme.manager.claimAll()
      const { transactions } = context.ledger.state
      await stepUntil(scheme, () =>
        [...transactions.values()].every(({ purpose }) => purpose.kind === 'collect'),
      )
    },
    settleDown: async () => {
      for (let turn = 0; turn < 60; turn++) {
        const before = asked.length
        await collecting.collector.step()
        const isQuiet = !isUnderWay(collecting) && asked.length === before
        if (isQuiet) return
      }
      throw new Error('collecting came to no end')
    },
    restart: (more = {}) => {
      collecting.collector = open(more === 'off' ? undefined : { ...policy, ...more })
    },
  }
  return collecting
}

/** Whether a transaction of collecting stands in the ledger. */
export function isUnderWay({ scheme }: Collecting): boolean {
  const { transactions } = scheme.scheme.context.ledger.state
  return [...transactions.values()].some(({ purpose }) => purpose.kind === 'collect')
}

/** Transactions of collecting that the chain has from this key, by their call. */
export async function listSteps({ chain, scheme, payTo }: Collecting): Promise<readonly string[]> {
  const from = privateKeyToAddress(scheme.settlementKey)
  const head = await chain.client.getBlockNumber({ cacheTime: 0 })
  const steps: string[] = []
  for (let number = 0n; number <= head; number++) {
    const block = await chain.client.getBlock({ blockNumber: number, includeTransactions: true })
    for (const { from: sender, to, input } of block.transactions) {
      if (sender.toLowerCase() !== from.toLowerCase()) continue
      if (to === payTo && input.startsWith(forward)) steps.push('forward')
      if (to === batch && input.startsWith(settle)) steps.push('settle')
    }
  }
  return steps
}

/** What the contract still holds for payTo. */
export async function readContract({ chain, payTo }: Collecting): Promise<bigint> {
  const [claimed, settled] = await chain.client.readContract({
    address: batch,
    abi: batchSettlementAbi,
    functionName: 'receivers',
    args: [payTo, token],
  })
  return claimed - settled
}

async function deploy(
  chain: BareChain,
  wallet: ReturnType<typeof walletOf>,
  data: Hex,
): Promise<Hex> {
  const { account } = wallet
  if (account === undefined) throw new Error('no account')
  const hash = await wallet.sendTransaction({ account, chain: wallet.chain, data })
  const { contractAddress } = await chain.mined(hash)
  if (typeof contractAddress !== 'string') throw new Error('no code was made')
  return contractAddress
}

function lower(address: string): Hex {
  return `0x${address.slice(2).toLowerCase()}`
}
