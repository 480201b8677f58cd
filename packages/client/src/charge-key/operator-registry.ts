/** The key registry of an operator, as its terms name it: what an operator reads before it changes anything. */
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import type { KeyRecord } from '@countersign/contracts/key-standing'
import { readLiveRegistry, type LiveRegistry } from '@countersign/contracts/live-registry'
import { planRegistry } from '@countersign/contracts/operator'
import { readScheduledKeys, type ScheduledKey } from '@countersign/contracts/scheduled-keys'
import { ProtocolError } from '@countersign/protocol/errors'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import {
  maxOperatorTermsBytes,
  parseOperatorTerms,
  type OperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import { BaseError, createPublicClient, http, type PublicClient } from 'viem'
import { ClientError } from '../errors.ts'
import { x402Of } from '../payee/payee-check.ts'

/** Where a registry is, by the terms. */
export type OperatorRegistry = {
  readonly terms: OperatorTerms
  /** The terms as they are announced. */
  readonly document: Uint8Array
  readonly chainId: number
  readonly timelock: Hex
  readonly rpcUrl: string
  readonly client: PublicClient
}

/** What a registry and its timelock say of the keys of one gateway. */
export type RegistryKeys = {
  readonly live: LiveRegistry
  readonly scheduled: readonly ScheduledKey[]
  readonly blockSeconds: number
}

/**
 * Opens the registry of these terms: the bytes of `GET /v1/terms`.
 *
 * @throws ClientError `options-invalid` when the registry is not what follows from the terms (CO2.2); `chain-mismatch`,
 * `chain-unreachable`.
 */
export async function openRegistry(
  document: Uint8Array,
  rpcUrl: string,
): Promise<OperatorRegistry> {
  const terms = readTerms(document)
  const x402 = x402Of(terms.network)
  const { timelock, registry } = planRegistry({ x402, ...terms })
  if (registry.address.toLowerCase() !== terms.registry) {
    const detail = `terms: ${terms.registry} is not the registry that follows from them`
    throw new ClientError('options-invalid', { detail })
  }
  const client = createPublicClient({ transport: http(rpcUrl) })
  const actual = await asked(() => client.getChainId())
  if (actual !== x402.chainId) {
    throw new ClientError('chain-mismatch', { detail: `${actual}, not ${x402.chainId}` })
  }
  const address = parseAddress(timelock.address)
  if (address === undefined) throw new ClientError('options-invalid', { detail: 'terms' })
  return { terms, document, chainId: x402.chainId, timelock: address, rpcUrl, client }
}

/** Reads all keys that are registered or announced. @throws ClientError `chain-unreachable`. */
export function readRegistryKeys(
  { terms, timelock, client }: OperatorRegistry,
  nowSeconds: number,
): Promise<RegistryKeys> {
  const { registry, gatewayId, fromBlock } = terms
  const where = { registry, timelock, gatewayId, fromBlock: BigInt(fromBlock) }
  return asked(async () => {
    const [live, scheduled, block] = await Promise.all([
      readLiveRegistry(client, { ...where, nowSeconds }),
      readScheduledKeys(client, where),
      client.getBlock(),
    ])
    return { live, scheduled, blockSeconds: Number(block.timestamp) }
  })
}

/** The record of one key. @throws ClientError `chain-unreachable`. */
export function readKeyRecord(
  { terms: { registry, gatewayId }, client }: OperatorRegistry,
  key: Hex,
): Promise<KeyRecord> {
  return asked(async () => {
    const [validFromSeconds, validUntilSeconds, revokedAtSeconds] = await client.readContract({
      address: registry,
      abi: keyRegistryAbi,
      functionName: 'keys',
      args: [gatewayId, key],
    })
    return { validFromSeconds, validUntilSeconds, revokedAtSeconds }
  })
}

function readTerms(document: Uint8Array): OperatorTerms {
  try {
    if (document.length > maxOperatorTermsBytes) throw new ProtocolError('terms-malformed')
    return parseOperatorTerms(document)
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    const detail = 'terms: not the bytes that GET /v1/terms answers'
    throw new ClientError('options-invalid', { detail, cause })
  }
}

async function asked<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause
    throw new ClientError('chain-unreachable', { detail: cause.shortMessage, cause })
  }
}
