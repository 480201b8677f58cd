/** What the ways to pay must have in common, and which prices each of them can take. */
import { x402On } from '@countersign/contracts/addresses'
import { findNodeListFault } from '../payment/chain-nodes/judge-nodes.ts'
import type { Config } from './schema.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>
type OnChain = NonNullable<PaidConfig['exact'] | PaidConfig['upto'] | PaidConfig['batchSettlement']>

/** The first fault of the ways to pay, in words; `undefined` when there is none. */
export function findPaymentFault({ payment, models }: Config): string | undefined {
  if (payment === 'none') return undefined
  return (
    findNodeFault(payment) ??
    findForeignTerms(payment) ??
    findUnused(payment) ??
    findUnpayable(payment, models)
  )
}

/** One settlement key, one node, one ledger of one asset. */
function findForeignTerms(payment: PaidConfig): string | undefined {
  const metered = [payment.upto, payment.batchSettlement].filter((each) => each !== undefined)
  const [first] = metered
  if (first === undefined) return undefined
  const schemes: readonly OnChain[] =
    payment.exact === undefined ? metered : [payment.exact, ...metered]
  for (const name of ['network', 'asset', 'assetName', 'assetVersion', 'rpcUrl'] as const) {
    const values = schemes.map((scheme) => scheme[name].toLowerCase())
    if (new Set(values).size > 1) return `the schemes of payment differ in ${name}`
  }
  const chainId = first.network.split(':')[1] ?? ''
  return x402On(Number(chainId)) === undefined
    ? `the contracts of x402 on ${first.network} are not known`
    : undefined
}

/** Members that only some schemes look at. */
function findUnused({
  exact,
  upto,
  batchSettlement,
  collect,
  operator,
  chargeKeysFile,
}: PaidConfig): string | undefined {
  if (upto !== undefined || batchSettlement !== undefined) return undefined
  if (collect !== undefined && exact === undefined)
    return 'payment.collect goes with exact, upto or batchSettlement'
  if (operator !== undefined) return 'payment.operator goes with upto or batchSettlement'
  if (chargeKeysFile !== undefined)
    return 'payment.chargeKeysFile goes with upto or batchSettlement'
  return undefined
}

/** Two answers that contradict one another must not both be believed, and one node is one witness (PA29.1). */
function findNodeFault({ exact, upto, batchSettlement, chain }: PaidConfig): string | undefined {
  if (chain === undefined) return undefined
  const rpcUrl = (exact ?? upto ?? batchSettlement)?.rpcUrl
  if (rpcUrl === undefined) return 'payment.chain is for x402, and none of its schemes is there'
  const { agree, otherNodes, maxFeePerGasGwei, maxTipPerGasGwei } = chain
  const fault = findNodeListFault([rpcUrl, ...otherNodes], agree)
  if (fault !== undefined) return `payment.chain.${fault}`
  return maxTipPerGasGwei > maxFeePerGasGwei
    ? 'payment.chain.maxTipPerGasGwei is more than maxFeePerGasGwei'
    : undefined
}

/** What x402 `exact` authorises is charged in full: it cannot pay for use that is known only afterwards. */
function findUnpayable(payment: PaidConfig, models: Config['models']): string | undefined {
  const { exact, upto, batchSettlement } = payment
  if (exact === undefined || upto !== undefined || batchSettlement !== undefined) return undefined
  const byUse = models.find(
    ({ price }) => price.builtIn !== undefined || price.perMillionAtomic !== undefined,
  )
  return byUse === undefined
    ? undefined
    : `model ${JSON.stringify(byUse.name)} is priced by use, which payment.exact cannot pay for`
}
