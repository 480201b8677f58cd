/** The payment contracts of a loopback network: deployed once, its charge key registered at each start (spec/contracts.md CO2, CO3). */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import {
  planOperator,
  planRegistry,
  type Deployment,
  type OperatorContracts,
} from '@countersign/contracts/operator'
import { planKeyRegistration } from '@countersign/contracts/register-key'
import {
  createPublicClient,
  createWalletClient,
  http,
  keccak256,
  toHex,
  type PrivateKeyAccount,
  type PublicClient,
} from 'viem'
import { baseSepolia } from 'viem/chains'
import { ClientError } from '../errors.ts'

type Hex = `0x${string}`

/** Who is paid, and who says which keys count. */
export type NetworkOperator = OperatorContracts<Hex> & {
  readonly gatewayId: Hex
  readonly registry: Hex
  readonly timelock: Hex
  readonly payeeOwner: Hex
  /** On loopback nobody has to be warned: a key counts as soon as it is announced. */
  readonly minDelaySeconds: 0
}

const minDelaySeconds = 0
const deploymentGas = 4_000_000n
const callGas = 500_000n
const keyLifetimeSeconds = 86_400
const blockWaitMs = 30_000

/** Where the contracts of this owner are, deployed or not: their addresses follow from their code. */
export function planNetworkOperator(owner: Hex): NetworkOperator {
  const { timelock, registry, contracts, gatewayId } = plan(owner)
  return {
    payee: contracts.payee.address,
    authorizer: contracts.authorizer.address,
    settler: contracts.settler.address,
    gatewayId,
    registry: registry.address,
    timelock: timelock.address,
    payeeOwner: owner,
    minDelaySeconds,
  }
}

/**
 * Deploys what has no code yet, all in one block.
 *
 * @throws ClientError `program-failed` when the chain does not take it.
 */
export async function deployNetworkOperator(
  rpcUrl: string,
  owner: PrivateKeyAccount,
): Promise<void> {
  const client = createPublicClient({ transport: http(rpcUrl), pollingInterval: 100 })
  const { timelock, registry, contracts } = plan(owner.address)
  const { payee, authorizer, settler } = contracts
  const missing: Deployment[] = []
  for (const deployment of [timelock, registry, payee, authorizer, settler]) {
    const code = await client.getCode({ address: deployment.address })
    if (code === undefined) missing.push(deployment)
  }
  if ((await client.getBalance({ address: owner.address })) === 0n) {
    const detail = 'the chain of this folder was made by an earlier version: take another folder'
    throw new ClientError('program-failed', { detail })
  }
  await sendAll(client, rpcUrl, owner, missing, deploymentGas)
}

/**
 * Registers a charge key for a day from now on. Each start has a key of its own: none can be registered twice.
 *
 * @param keysetDigest - SHA-256 of the keyset statement that names the key.
 * @throws ClientError `program-failed` when the chain does not take it.
 */
export async function registerChargeKey(
  rpcUrl: string,
  owner: PrivateKeyAccount,
  key: Hex,
  keysetDigest: Hex,
): Promise<void> {
  const client = createPublicClient({ transport: http(rpcUrl), pollingInterval: 100 })
  const { gatewayId, timelock, registry } = planNetworkOperator(owner.address)
  const validFromSeconds = Number((await client.getBlock()).timestamp)
  const { announce, register } = planKeyRegistration({ timelock, registry }, minDelaySeconds, {
    gatewayId,
    key,
    validFromSeconds,
    validUntilSeconds: validFromSeconds + keyLifetimeSeconds,
    keysetDigest,
  })
  await sendAll(client, rpcUrl, owner, [announce, register], callGas)
}

function plan(owner: Hex): ReturnType<typeof planRegistry> & {
  readonly contracts: OperatorContracts<Deployment>
  readonly gatewayId: Hex
} {
  const x402 = baseSepoliaX402
  const { timelock, registry } = planRegistry({
    x402,
    minDelaySeconds,
    proposers: [owner],
    guardian: owner,
  })
  const gatewayId = keccak256(toHex('countersign:loopback'))
  const contracts = planOperator({
    x402,
    registry: registry.address,
    gatewayId,
    payeeOwner: owner,
  })
  return { timelock, registry, contracts, gatewayId }
}

/** Without waiting in between: the chain mines them in the order of their nonces. */
async function sendAll(
  client: PublicClient,
  rpcUrl: string,
  account: PrivateKeyAccount,
  calls: readonly { readonly to: Hex; readonly data: Hex }[],
  gas: bigint,
): Promise<void> {
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(rpcUrl) })
  let nonce = await client.getTransactionCount({ address: account.address, blockTag: 'pending' })
  const hashes: Hex[] = []
  for (const { to, data } of calls) {
    hashes.push(await wallet.sendTransaction({ to, data, gas, nonce }))
    nonce++
  }
  for (const hash of hashes) {
    const { status } = await client.waitForTransactionReceipt({ hash, timeout: blockWaitMs })
    if (status !== 'success') {
      throw new ClientError('program-failed', { detail: 'the chain refused a payment contract' })
    }
  }
}
