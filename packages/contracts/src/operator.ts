/**
 * The contracts of one gateway operator, and how anybody knows them: each is deployed by the CREATE2 factory, so its
 * address follows from its code and its arguments. Who computes the address from the terms that a gateway announces and
 * finds the same, and code at it, knows what that code does without reading it (spec/contracts.md CO2).
 */

import { concatHex, encodeAbiParameters, getContractAddress, parseAbiParameters } from 'viem/utils'
import type { X402Deployment } from './addresses.ts'
import { channelAuthorizerCreationCode } from './generated/channel-authorizer.ts'
import { gatewayPayeeCreationCode } from './generated/gateway-payee.ts'
import { keyRegistryCreationCode } from './generated/key-registry.ts'
import { registryTimelockCreationCode } from './generated/registry-timelock.ts'
import { uptoSettlerCreationCode } from './generated/upto-settler.ts'

type Hex = `0x${string}`

/** One deployment: a transaction of 0 wei with this data to this address. Sent twice, the second one reverts. */
export type Deployment = {
  /** Where the contract will be, checksummed. */
  readonly address: Hex
  /** The CREATE2 factory. */
  readonly to: Hex
  readonly data: Hex
}

/** Who registers keys, and how long everybody sees a key before it counts. */
export type RegistryTerms = {
  readonly x402: X402Deployment
  /** Seconds between the announcement of a key and its registration. Safe when above the withdraw delay of channels. */
  readonly minDelaySeconds: number
  /** Who may announce. */
  readonly proposers: readonly Hex[]
  /** Who may revoke a key at once, and nothing else. */
  readonly guardian: Hex
}

/** What a gateway announces of its payment contracts. */
export type OperatorTerms = {
  readonly x402: X402Deployment
  readonly registry: Hex
  /** 32 bytes that name the gateway in the registry. */
  readonly gatewayId: Hex
  /** Who first owns what the payee collects. A later owner does not change the address. */
  readonly payeeOwner: Hex
}

/** The three contracts of an operator. */
export type OperatorContracts<T> = {
  /** payTo of every offer: passes tokens on to its owner and cannot claim. */
  readonly payee: T
  /** receiverAuthorizer of channels: an EIP-1271 contract over the registry. */
  readonly authorizer: T
  /** facilitatorAddress of `upto` offers: settles what an attested key signed. */
  readonly settler: T
}

const noSalt: Hex = `0x${'0'.repeat(64)}`
/** More than half of the creation code: no other part of it ends where it ends. */
const leastPayeeDigits = gatewayPayeeCreationCode.length / 2

/** The timelock and the registry that it owns and registers for, in the order in which they are deployed. */
export function planRegistry(terms: RegistryTerms): {
  readonly timelock: Deployment
  readonly registry: Deployment
} {
  const { x402, guardian } = terms
  const timelockArguments = encodeAbiParameters(parseAbiParameters('uint256, address[]'), [
    BigInt(terms.minDelaySeconds),
    terms.proposers,
  ])
  const timelock = plan(x402, noSalt, registryTimelockCreationCode, timelockArguments)
  const roles = [timelock.address, timelock.address, guardian] as const
  const registryArguments = encodeAbiParameters(
    parseAbiParameters('address, address, address'),
    roles,
  )
  return { timelock, registry: plan(x402, noSalt, keyRegistryCreationCode, registryArguments) }
}

/** The operator's contracts. The registry and the upto proxy must have code before these are deployed. */
export function planOperator(terms: OperatorTerms): OperatorContracts<Deployment> {
  const { x402, registry, gatewayId, payeeOwner } = terms
  const owner = encodeAbiParameters(parseAbiParameters('address'), [payeeOwner])
  const keys = encodeAbiParameters(parseAbiParameters('address, bytes32'), [registry, gatewayId])
  const settlerArguments = encodeAbiParameters(parseAbiParameters('address, bytes32, address'), [
    registry,
    gatewayId,
    x402.uptoPermit2Proxy,
  ])
  return {
    // The payee's code does not name the gateway, so its salt does: two gateways of one owner are paid apart.
    payee: plan(x402, gatewayId, gatewayPayeeCreationCode, owner),
    authorizer: plan(x402, noSalt, channelAuthorizerCreationCode, keys),
    settler: plan(x402, noSalt, uptoSettlerCreationCode, settlerArguments),
  }
}

/**
 * Which of the announced addresses are not what the terms give. None: whatever code is there is ours, with these
 * arguments. That there is code at all has to be asked of a chain.
 */
export function findForeignContracts(
  announced: OperatorContracts<Hex>,
  terms: OperatorTerms,
): readonly (keyof OperatorContracts<Hex>)[] {
  const planned = planOperator(terms)
  const names = ['payee', 'authorizer', 'settler'] as const
  return names.filter(
    (name) => announced[name].toLowerCase() !== planned[name].address.toLowerCase(),
  )
}

/** Whether this code, as a node shows it, is that of a `GatewayPayee` of this version, whatever account it belongs to. */
export function isGatewayPayee(code: Hex | undefined): boolean {
  // It has no immutable values: what is left at its address is the end of its creation code, unchanged.
  const deployed = code?.slice(2).toLowerCase() ?? ''
  return deployed.length >= leastPayeeDigits && gatewayPayeeCreationCode.endsWith(deployed)
}

/**
 * Deploys, in their order, what has no code yet; so it can be called again after a crash, and by anybody.
 *
 * @param chain `send` resolves when the transaction is mined and has succeeded.
 * @returns how many were deployed now.
 * @throws Error when a deployment leaves no code.
 */
export async function deployMissing(
  deployments: readonly Deployment[],
  chain: {
    readonly hasCode: (address: Hex) => Promise<boolean>
    readonly send: (transaction: { readonly to: Hex; readonly data: Hex }) => Promise<unknown>
  },
): Promise<number> {
  let deployed = 0
  for (const { address, to, data } of deployments) {
    if (await chain.hasCode(address)) continue
    await chain.send({ to, data })
    if (!(await chain.hasCode(address))) throw new Error(`no code at ${address} when deployed`)
    deployed += 1
  }
  return deployed
}

function plan(
  x402: X402Deployment,
  salt: Hex,
  creationCode: Hex,
  encodedArguments: Hex,
): Deployment {
  const bytecode = concatHex([creationCode, encodedArguments])
  const to = x402.create2Factory
  const address = getContractAddress({ opcode: 'CREATE2', from: to, salt, bytecode })
  return { address, to, data: concatHex([salt, bytecode]) }
}
