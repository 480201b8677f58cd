/** Before somebody's server is attacked: whether it answers and sells, and whether the payer can pay. */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createPublicClient, http } from 'viem'
import { callRaw } from '../provider/raw-client.ts'
import { depositFor } from './payers/channel-payer.ts'
import { depositAtomic } from './payers/create-payer.ts'
import { checkOrdinaryCall, type SuiteOptions } from './run-suite.ts'
import { quoteIn, type Offer } from './wire.ts'

/** Nothing was attacked, for this reason. */
export class CannotAttack extends Error {}

const withinMs = 10_000

/**
 * Asks for the offer, looks at the chain and the payer's money, and makes one ordinary paid call.
 *
 * @throws CannotAttack where the attacks could show nothing.
 */
export async function checkTarget(options: SuiteOptions): Promise<void> {
  const offer = await findOffer(options)
  await checkMoney(options, offer)
  const refusal = await checkOrdinaryCall(options)
  if (refusal !== undefined) throw new CannotAttack(`before any attack: ${refusal}`)
}

async function findOffer({ url, request, scheme }: SuiteOptions): Promise<Offer> {
  const target = `${url}${request.path}`
  const answer = await callRaw({
    url: target,
    method: 'POST',
    body: request.body,
    headers: request.headers ?? {},
    maxHeaderSize: 65_536,
    leaveSignal: AbortSignal.timeout(withinMs),
  })
  const { status, failure } = answer
  if (status === null) throw new CannotAttack(`${target} does not answer (${failure})`)
  if (status !== 402) {
    throw new CannotAttack(
      `${target} answers an unpaid call by ${status}, not by 402: --path and --body must name a paid call`,
    )
  }
  const offers = quoteIn(answer)?.accepts
  if (!Array.isArray(offers)) {
    throw new CannotAttack(`the 402 of ${target} has no PAYMENT-REQUIRED header of x402 v2`)
  }
  const offer: Offer | undefined = offers.find((each) => Object(each).scheme === scheme)
  if (offer === undefined) {
    const names = [...new Set(offers.map((each) => String(Object(each).scheme)))].join(', ')
    throw new CannotAttack(`${target} offers ${names}, and not ${scheme}`)
  }
  return offer
}

async function checkMoney(options: SuiteOptions, offer: Offer): Promise<void> {
  const { rpcUrl, scheme, payer } = options
  const client = createPublicClient({
    transport: http(rpcUrl, { timeout: withinMs, retryCount: 0 }),
  })
  const chainId = await client.getChainId().catch(() => {
    throw new CannotAttack(`the node of --rpc-url does not answer eth_chainId`)
  })
  if (offer.network !== `eip155:${chainId}`) {
    throw new CannotAttack(
      `--rpc-url is a node of eip155:${chainId}; the offer is for ${offer.network}`,
    )
  }
  const needed =
    scheme === 'batch-settlement' ? depositFor(offer, depositAtomic) : BigInt(offer.amount)
  const token = { address: `0x${offer.asset.slice(2)}`, abi: testUsdcAbi } as const
  const { address } = payer
  const balance = await known(
    `the balance of ${address} in ${offer.asset}`,
    client.readContract({ ...token, functionName: 'balanceOf', args: [address] }),
  )
  if (balance < needed) {
    const what = scheme === 'batch-settlement' ? 'its channel' : 'one call'
    throw new CannotAttack(
      `the payer ${address} holds ${balance} of ${offer.asset}; ${what} takes ${needed}`,
    )
  }
  if (scheme !== 'upto') return
  const { permit2 } = baseSepoliaX402
  const allowance = await known(
    `the allowance of ${address}`,
    client.readContract({ ...token, functionName: 'allowance', args: [address, permit2] }),
  )
  if (allowance < needed) {
    throw new CannotAttack(
      `the payer ${address} lets Permit2 (${permit2}) take ${allowance}; one call takes ${needed}`,
    )
  }
}

async function known(what: string, asked: Promise<bigint>): Promise<bigint> {
  try {
    return await asked
  } catch (cause) {
    throw new CannotAttack(`the node of --rpc-url does not say ${what}`, { cause })
  }
}
