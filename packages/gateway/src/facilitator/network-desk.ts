/** One network of a facilitator: what is read, verified and settled there (spec/payment.md PA27). */
import { join } from 'node:path'
import { x402On, type X402Deployment } from '@countersign/contracts/addresses'
import { parseAddress } from '@countersign/protocol/payment/evm-word'
import { ConfigError } from '../config/load-config.ts'
import type { EvmCurve } from '../payment/evm-curve.ts'
import type { DifferenceLog } from '../payment/chain-nodes/chain-terms.ts'
import { defaultAgree } from '../payment/chain-nodes/judge-nodes.ts'
import type { ChainSource } from '../payment/chain-nodes/nodes-transport.ts'
import { createChain, type Chain } from '../payment/exact/chain.ts'
import { createTerms } from '../payment/exact/offer.ts'
import { createSender, createSettlementAccount } from '../payment/exact/sender.ts'
import { planClaim, planRefund, planSettle } from './channel-operation.ts'
import { planDeposit, planVoucher } from './channel-plan.ts'
import { mayPay, type Client } from './clients.ts'
import { planExact } from './exact-plan.ts'
import type { FacilitatorConfig, NetworkConfig } from './facilitator-config.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { FacilitatorRequest } from './request.ts'
import { openSettlementBook, type SettlementBook } from './settlement-book.ts'
import type { AnswerMembers, Plan, PlanSurroundings } from './settlement-plan.ts'
import { createSettler, type Asker, type Settled, type Settler } from './settler.ts'
import { planUpto } from './upto-plan.ts'
import { watchSettled, type TakenBack } from './watch-settled.ts'

/** A network that is served. */
export type NetworkDesk = {
  readonly network: string
  readonly schemes: NetworkConfig['schemes']
  /** EIP-55; the only account that sends. */
  readonly sender: string
  readonly book: SettlementBook
  /** By the number of the node. */
  readonly nodeDifferences: ReadonlyMap<number, number>
  /** Settlements that had their depth and vanished, since the start. */
  readonly takenBack: Readonly<Record<TakenBack, number>>
  /** Leaves nothing behind. @throws what becomes a refusal. */
  verify(request: FacilitatorRequest, client: Client): Promise<AnswerMembers>
  settle(request: FacilitatorRequest, asker: Asker): Promise<Settled>
  /** Whether enough nodes answer. */
  isReachable(): Promise<boolean>
  close(): Promise<void>
}

/** What a desk needs of the process. */
export type DeskSurroundings = {
  /** 0x and 64 hex digits. No other process may use it. */
  readonly key: string
  readonly curve: EvmCurve
  readonly clock: () => number
  /** Where nodes of this network that differ are told of. */
  readonly differences: DifferenceLog
  /** Told of settlements that vanish. */
  readonly onTakenBack: (network: string, result: TakenBack, hash: string) => void
  /** Told of faults of background work: the book cannot be written. */
  readonly onFault: (error: unknown) => void
}

/** What an earlier process settled so lately is followed again: nobody noted how deep it was. */
const takenUpMs = 86_400_000

type Asset = NetworkConfig['assets'][number] & { readonly chain: Chain }

/**
 * Opens the book and takes up what is signed.
 *
 * @throws ConfigError for a network whose contracts are not known, DatabaseFault.
 */
export function openNetworkDesk(
  config: FacilitatorConfig,
  network: NetworkConfig,
  { key, curve, clock, onFault, differences, onTakenBack }: DeskSurroundings,
): NetworkDesk {
  const closing = new AbortController()
  const { signal } = closing
  const account = createSettlementAccount(key)
  const chainId = Number(network.network.slice('eip155:'.length))
  const x402 = x402On(chainId)
  if (x402 === undefined) throw new ConfigError(`no x402 contracts are known on ${network.network}`)
  const assets = openAssets(network, differences, signal)
  const [first] = assets.values()
  if (first === undefined) throw new ConfigError('a network without assets')
  const { chain } = first
  const book = openSettlementBook(join(config.dataDir, `facilitator-${chainId}.db`), {
    network: network.network,
    sender: account.address,
  })
  const maxFeePerGas = BigInt(network.maxGasPriceWei)
  const sender = createSender({ chain, chainId, account, ledger: book, signal, maxFeePerGas })
  const takenBack = { 'taken-back': 0, 'settled-again': 0, lost: 0 }
  const watch = watchSettled({
    chain,
    sender,
    finalDepth: network.finalDepth,
    signal,
    onTakenBack: (result, hash) => {
      takenBack[result]++
      onTakenBack(network.network, result, hash)
    },
    onFault,
  })
  for (const { id, hash } of book.listMined(clock() - takenUpMs)) watch.follow(id, hash)
  const settler = createSettler({
    chain,
    book,
    sender,
    onMined: (id, hash) => {
      watch.follow(id, hash)
    },
    senderAddress: account.address,
    confirmations: network.confirmations,
    maxGasPriceWei: maxFeePerGas,
    limits: config.limits,
    settlementTimeoutMs: config.settlementTimeoutMs,
    clock,
    signal,
    onFault,
  })
  const parts: Parts = { network, assets, x402, curve, sender: account.address, clock }
  return {
    network: network.network,
    schemes: network.schemes,
    sender: account.address,
    book,
    nodeDifferences: differences.counts,
    takenBack,
    verify: (request, client) => verify(parts, settler, request, client),
    settle: async (request, asker) => {
      const plan = await readPlan(parts, request, asker.client, true)
      return settler.settle(plan, request.asset, asker)
    },
    isReachable: () =>
      chain.client.getBlockNumber({ cacheTime: 0 }).then(
        () => true,
        () => false,
      ),
    close: async () => {
      closing.abort(new Error('the facilitator is closing'))
      await settler.stopped()
      await watch.stopped
      book.close()
    },
  }
}

/** All nodes that are named. */
export function sourceOf(
  { rpcUrl, otherNodes, agree }: NetworkConfig,
  { onDifference }: DifferenceLog,
): ChainSource {
  const urls = [rpcUrl, ...otherNodes]
  return { urls, agree: agree ?? defaultAgree(urls.length), onDifference }
}

/** Each asset with its reads. */
function openAssets(
  network: NetworkConfig,
  differences: DifferenceLog,
  signal: AbortSignal,
): ReadonlyMap<string, Asset> {
  const source = sourceOf(network, differences)
  return new Map(
    network.assets.map((asset) => {
      const chain = createChain(termsOf(network, asset, asset.address), source, signal)
      return [asset.address.toLowerCase(), { ...asset, chain }]
    }),
  )
}

type Parts = Omit<PlanSurroundings, 'terms' | 'chain'> & {
  readonly network: NetworkConfig
  readonly assets: ReadonlyMap<string, Asset>
  readonly x402: X402Deployment
}

async function verify(
  parts: Parts,
  settler: Settler,
  request: FacilitatorRequest,
  client: Client,
): Promise<AnswerMembers> {
  const plan = await readPlan(parts, request, client, false)
  if (plan.kind !== 'transaction') return plan.check()
  if (settler.isTaken(plan.id)) {
    throw new FacilitatorRefusal(plan.reasons.used, 'It was settled, or is being settled.')
  }
  const members = await plan.check(0n)
  await settler.simulate(plan)
  return members
}

/** Cheap checks first, then the signature; the chain is asked by the plan. */
async function readPlan(
  parts: Parts,
  request: FacilitatorRequest,
  client: Client,
  isSettled: boolean,
): Promise<Plan> {
  const { network, assets } = parts
  if (!network.schemes.includes(request.scheme)) {
    throw new FacilitatorRefusal('unsupported_scheme', 'The scheme is not served here.')
  }
  const asset = assets.get(request.asset)
  if (asset === undefined) {
    throw new FacilitatorRefusal('countersign_asset_not_served', 'The asset is not served here.')
  }
  if (!mayPay(client, network, request.payTo)) {
    throw new FacilitatorRefusal('countersign_payee_not_allowed', 'This payee is not allowed.')
  }
  const surroundings = {
    ...parts,
    chain: asset.chain,
    terms: termsOf(network, asset, request.payTo),
  }
  const { scheme, amountAtomic } = request
  if (scheme === 'batch-settlement') {
    const plan = await planBatch(surroundings, request, isSettled)
    const isDeposit = plan.kind === 'transaction' && plan.amountAtomic > 0n
    if (isDeposit) checkAmount(asset, plan.amountAtomic)
    return plan
  }
  // Of `upto` the maximum: its server learns of it before it serves.
  checkAmount(asset, scheme === 'upto' ? request.acceptedAtomic : amountAtomic)
  return scheme === 'exact'
    ? planExact(surroundings, request)
    : planUpto(surroundings, request, isSettled)
}

/** Each settlement costs gas, whatever it moves. @throws FacilitatorRefusal */
function checkAmount({ minAmountAtomic }: Asset, amountAtomic: bigint): void {
  if (amountAtomic < BigInt(minAmountAtomic)) {
    throw new FacilitatorRefusal('countersign_amount_too_small', 'Smaller than what is settled.')
  }
}

async function planBatch(
  surroundings: PlanSurroundings,
  request: FacilitatorRequest,
  isSettled: boolean,
): Promise<Plan> {
  const type = request.payload.get('type')
  if (type === 'deposit') return planDeposit(surroundings, request)
  if (!isSettled) return planVoucher(surroundings, request)
  if (type === 'claim') return planClaim(surroundings, request)
  if (type === 'settle') return planSettle(surroundings, request)
  if (type === 'refund') return planRefund(surroundings, request)
  const reason = 'invalid_batch_settlement_evm_payload_type'
  throw new FacilitatorRefusal(reason, 'This type is not settled.')
}

function termsOf(
  { network }: NetworkConfig,
  asset: NetworkConfig['assets'][number],
  payTo: string,
): PlanSurroundings['terms'] {
  return createTerms({
    network: `eip155:${network.slice('eip155:'.length)}`,
    asset: parseAddress(asset.address) ?? '',
    assetName: asset.name,
    assetVersion: asset.version,
    payTo,
    maxTimeoutSeconds: 0,
    resourceBaseUrl: '',
  })
}
