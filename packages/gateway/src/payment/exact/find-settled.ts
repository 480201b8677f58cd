/** Finds a payment that somebody else settled before the gateway had it (spec/payment.md PA9.8). */
import { parseAbiItem, type Hex } from 'viem'
import { isPaidBy, type Chain } from './chain.ts'
import { latestRanges } from '../log-ranges.ts'
import type { Terms } from './offer.ts'
import type { Authorization } from './presented-payment.ts'

/**
 * `shallow`: its transaction has not the configured depth. `otherwise`: the nonce was used for something else. `none`: no
 * event is found; the nonce was cancelled, or who was asked is behind whoever says that it is used.
 */
export type Settled =
  | { readonly kind: 'settled'; readonly transaction: Hex; readonly blockNumber: bigint }
  | { readonly kind: 'shallow' }
  | { readonly kind: 'otherwise' | 'none' }

const used = parseAbiItem(
  'event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)',
)

/**
 * Looks for the event of the token, latest blocks first and none before `fromBlock`. A nonce is used once, so there is at
 * most one.
 *
 * @throws ChainUnreachable
 */
export async function findSettled(
  chain: Pick<Chain, 'client' | 'findReceipt' | 'retry'>,
  terms: Terms,
  authorization: Authorization,
  { fromBlock, confirmations }: { readonly fromBlock: bigint; readonly confirmations: number },
): Promise<Settled> {
  const { client } = chain
  const args = { authorizer: authorization.from, nonce: authorization.nonce }
  const head = await chain.retry(() => client.getBlockNumber({ cacheTime: 0 }))
  for (const range of latestRanges(fromBlock, head)) {
    const [log] = await chain.retry(() =>
      client.getLogs({ address: terms.asset, event: used, args, strict: true, ...range }),
    )
    if (log !== undefined) return judge(log.transactionHash)
  }
  return { kind: 'none' }

  async function judge(transaction: Hex): Promise<Settled> {
    const receipt = await chain.findReceipt(transaction, confirmations)
    if (receipt === undefined) return { kind: 'shallow' }
    const { blockNumber } = receipt
    const isOurs = isPaidBy(terms, authorization, receipt)
    return isOurs ? { kind: 'settled', transaction, blockNumber } : { kind: 'otherwise' }
  }
}
