/**
 * Judges who is paid before money is put where it can be taken (spec/contracts.md CO2.3, CO2.4, CO3.5): the addresses of an
 * offer are those that follow from the terms, there is code at each, and the registry is today what the terms say.
 */
import { x402On } from '@countersign/contracts/addresses'
import { planOperator, planRegistry } from '@countersign/contracts/operator'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { checkChain, type ChainReader } from '../chain/chain-reader.ts'
import { ClientError } from '../errors.ts'
import type { Payee, PayeeCheck } from '../pay/channel-book.ts'
import { judgePendingOperations } from './pending-operations.ts'
import { checkRegistry } from './read-registry.ts'

/** What a payer takes for granted of one gateway: from its own configuration, never from an answer of the gateway. */
export type TrustedOperator = {
  /** CAIP-2. */
  readonly network: string
  /** 32 bytes in hex that name the gateway in the registry. */
  readonly gatewayId: Hex
  /** Who first owned what the payee collects. */
  readonly payeeOwner: Hex
  /** Who may announce keys, who may revoke them, and how long everybody sees a key before it counts. */
  readonly proposers: readonly Hex[]
  readonly guardian: Hex
  readonly minDelaySeconds: number
  /** The block from which the timelock has events; default 0. Public nodes refuse long ranges. */
  readonly fromBlock?: bigint
  /** The proposers are trusted: then a channel may be slower than the timelock. */
  readonly trustsProposers?: boolean
}

/** What the check works with. */
export type PayeeCheckOptions = {
  readonly operators: readonly TrustedOperator[]
  /** A node for each CAIP-2 name, or several: the payer's own choice. All of them must find everything right. */
  readonly readers: Readonly<Record<string, ChainReader | readonly ChainReader[]>>
  /** How long a judgement of an `upto` settler holds; deposits are judged each time. Default 60 seconds. */
  readonly uptoAgeMs?: number
  readonly now?: () => number
}

/** Addresses that follow from the terms, lower case. */
type Planned = Readonly<
  Record<'timelock' | 'registry' | 'payee' | 'authorizer' | 'settler', Hex>
> & { readonly operator: TrustedOperator }

const defaultUptoAgeMs = 60_000

/**
 * Makes the check.
 *
 * @example
 * const checkPayee = createPayeeCheck({ operators: [terms], readers: { 'eip155:8453': createChainReader(url) } })
 *
 * @throws ClientError `options-invalid` for terms that are none.
 */
export function createPayeeCheck(options: PayeeCheckOptions): PayeeCheck {
  const { operators, readers, uptoAgeMs = defaultUptoAgeMs, now = Date.now } = options
  const plans = operators.map(planAddresses)
  // Owned here: when a settler was last found right. On another network the same address is another contract.
  const judgedAtMs = new Map<string, number>()
  return async (payee) => {
    const planned = findPlan(plans, payee)
    const { network, contract } = payee
    const own = readersOf(readers, network)
    const key = `${network} ${contract.kind === 'upto' ? contract.settler : ''}`
    if (contract.kind === 'upto') {
      const lastMs = judgedAtMs.get(key)
      if (lastMs !== undefined && now() - lastMs < uptoAgeMs) return
    } else judgeDelay(planned.operator, contract.withdrawDelaySeconds)
    // One that is right and one that lies differ: then nothing is signed.
    await Promise.all(own.map((reader) => judgeOnChain(reader, planned, payee)))
    if (contract.kind === 'upto') judgedAtMs.set(key, now())
  }
}

function readersOf(readers: PayeeCheckOptions['readers'], network: string): readonly ChainReader[] {
  const found = Object.hasOwn(readers, network) ? readers[network] : undefined
  const own = found === undefined || 'getCode' in found ? [found] : found
  const given = own.filter((reader) => reader !== undefined)
  if (given.length === 0) throw new ClientError('network-not-allowed', { detail: network })
  return given
}

function findPlan(plans: readonly Planned[], { network, payTo, contract }: Payee): Planned {
  const planned = plans.find(
    ({ operator, payee }) => operator.network === network && payee === payTo,
  )
  if (planned === undefined) {
    throw new ClientError('payee-foreign', { detail: `payTo ${payTo} on ${network}` })
  }
  const [name, offered, expected] =
    contract.kind === 'upto'
      ? ['facilitatorAddress', contract.settler, planned.settler]
      : ['receiverAuthorizer', contract.authorizer, planned.authorizer]
  if (offered !== expected) {
    throw new ClientError('payee-foreign', { detail: `${name} ${offered}, not ${expected}` })
  }
  return planned
}

/** Only then can a payer who watches leave before a key counts that it does not accept. */
function judgeDelay(
  { minDelaySeconds, trustsProposers = false }: TrustedOperator,
  withdrawDelaySeconds: number,
): void {
  if (trustsProposers || withdrawDelaySeconds < minDelaySeconds) return
  const detail = `${withdrawDelaySeconds} s, the timelock takes ${minDelaySeconds} s`
  throw new ClientError('withdraw-delay-too-long', { detail })
}

async function judgeOnChain(
  reader: ChainReader,
  planned: Planned,
  { contract }: Payee,
): Promise<void> {
  const { operator, timelock, registry, payee } = planned
  const x402 = x402Of(operator.network)
  const { chainId } = x402
  await checkChain(reader, BigInt(chainId))
  const behind =
    contract.kind === 'upto'
      ? [planned.settler, lower(x402.permit2), lower(x402.uptoPermit2Proxy)]
      : [planned.authorizer, lower(x402.batchSettlement), lower(x402.erc3009DepositCollector)]
  await Promise.all(
    [timelock, registry, payee, ...behind].map(async (address) => {
      if ((await reader.getCode(address)) !== '0x') return
      throw new ClientError('payee-foreign', { detail: `no code at ${address}` })
    }),
  )
  await judgeRegistry(reader, planned)
}

async function judgeRegistry(
  reader: ChainReader,
  { operator, timelock, registry }: Planned,
): Promise<void> {
  const { guardian, proposers, minDelaySeconds, fromBlock = 0n } = operator
  // The delay of the channel was judged by the announced one, which has to be the live one.
  const withdrawDelaySeconds = -1
  const roles = { timelock, registry, guardian, proposers, minDelaySeconds, withdrawDelaySeconds }
  const factory = lower(x402Of(operator.network).create2Factory)
  await checkRegistry(reader, { ...roles, factory, fromBlock })
  await judgePendingOperations(reader, timelock, registry, fromBlock)
}

function planAddresses(operator: TrustedOperator): Planned {
  const { gatewayId, payeeOwner, proposers, guardian, minDelaySeconds } = operator
  const x402 = x402Of(operator.network)
  try {
    const { timelock, registry } = planRegistry({ x402, minDelaySeconds, proposers, guardian })
    const terms = { x402, registry: registry.address, gatewayId, payeeOwner }
    const { payee, authorizer, settler } = planOperator(terms)
    return {
      operator,
      timelock: lower(timelock.address),
      registry: lower(registry.address),
      payee: lower(payee.address),
      authorizer: lower(authorizer.address),
      settler: lower(settler.address),
    }
  } catch (cause) {
    throw new ClientError('options-invalid', { detail: 'terms of an operator', cause })
  }
}

/** The contracts of x402 on a network. @throws ClientError `options-invalid` where none are known. */
export function x402Of(network: string): NonNullable<ReturnType<typeof x402On>> {
  const chainId = Number(/^eip155:([1-9][0-9]{0,14})$/.exec(network)?.[1])
  const x402 = x402On(chainId)
  if (x402 === undefined) {
    throw new ClientError('options-invalid', { detail: `no contracts known on ${network}` })
  }
  return x402
}

function lower(text: string): Hex {
  const address = parseAddress(text)
  if (address === undefined) throw new ClientError('options-invalid', { detail: text })
  return address
}
