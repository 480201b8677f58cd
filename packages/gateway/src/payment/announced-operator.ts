/** The operator that a gateway announces, and whether its own offers name just these contracts (spec/contracts.md CO7). */
import { hash } from 'node:crypto'
import type { X402Deployment } from '@countersign/contracts/addresses'
import { planOperator, planRegistry } from '@countersign/contracts/operator'
import { parseAddress, parseWord, type Hex } from '@countersign/protocol/payment/evm-word'
import {
  encodeOperatorTerms,
  parseOperatorTerms,
  type OperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>
type OperatorConfig = NonNullable<PaidConfig['operator']>

/** What is announced. */
export type AnnouncedOperator = {
  readonly terms: OperatorTerms
  /** The document of `GET /v1/terms`, and its SHA-256. */
  readonly document: Uint8Array
  readonly digest: Uint8Array
}

/**
 * The announcement of a configuration; `undefined` when there is none.
 *
 * @throws ConfigError when an address of the offers does not follow from the terms (CO7.4).
 */
export function openAnnouncedOperator(
  { operator, upto, batchSettlement }: PaidConfig,
  x402: X402Deployment,
): AnnouncedOperator | undefined {
  const network = upto?.network ?? batchSettlement?.network
  if (operator === undefined || network === undefined) return undefined
  const { registry, contracts } = plan(operator, x402)
  const offered = [
    ['upto.payTo', upto?.payTo, contracts.payee],
    ['upto.settler', upto?.settler, contracts.settler],
    ['batchSettlement.payTo', batchSettlement?.payTo, contracts.payee],
    [
      'batchSettlement.receiverAuthorizer',
      batchSettlement?.receiverAuthorizer,
      contracts.authorizer,
    ],
  ] as const
  for (const [name, given, { address }] of offered) {
    if (given === undefined || given.toLowerCase() === address.toLowerCase()) continue
    throw new ConfigError(`payment.${name} is ${given}, payment.operator gives ${address}`)
  }
  const { payeeOwner, guardian, proposers, minDelaySeconds, fromBlock } = operator
  const document = encodeOperatorTerms({
    network,
    gatewayId: need(parseWord(operator.gatewayId)),
    payeeOwner: need(parseAddress(payeeOwner)),
    registry: need(parseAddress(registry)),
    guardian: need(parseAddress(guardian)),
    proposers: proposers.map((proposer) => need(parseAddress(proposer))),
    minDelaySeconds,
    fromBlock,
  })
  const digest = Uint8Array.from(hash('sha256', document, 'buffer'))
  return { terms: readBack(document), document, digest }
}

function plan(
  { gatewayId, payeeOwner, proposers, guardian, minDelaySeconds }: OperatorConfig,
  x402: X402Deployment,
): { readonly registry: Hex; readonly contracts: ReturnType<typeof planOperator> } {
  const { registry } = planRegistry({
    x402,
    minDelaySeconds,
    proposers: proposers.map(toAddress),
    guardian: toAddress(guardian),
  })
  const contracts = planOperator({
    x402,
    registry: registry.address,
    gatewayId: need(parseWord(gatewayId)),
    payeeOwner: toAddress(payeeOwner),
  })
  return { registry: registry.address, contracts }
}

/** Whoever reads it is stricter than the configuration: twice the same proposer, a network of 16 digits. */
function readBack(document: Uint8Array): OperatorTerms {
  try {
    return parseOperatorTerms(document)
  } catch (cause) {
    throw new ConfigError('payment.operator gives no terms that payers take', { cause })
  }
}

/** Of any case, whatever its checksum. */
function toAddress(text: string): Hex {
  return need(parseAddress(text))
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new ConfigError('payment.operator holds a malformed value')
  return value
}
