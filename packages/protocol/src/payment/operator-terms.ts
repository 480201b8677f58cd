/** The terms of an operator, as a gateway announces them (spec/contracts.md CO7). */
import { encodeUtf8, equalBytes } from '../bytes/byte-string.ts'
import { decodeJson, type JsonMap, type JsonValue } from '../bytes/json-decode.ts'
import { ProtocolError } from '../errors.ts'
import { parseAddress, parseWord, type Hex } from './evm-word.ts'
import { isJsonMap } from './json-members.ts'

/** From these the addresses of an offer follow. Hex is lower case. */
export type OperatorTerms = {
  /** CAIP-2, of an EVM chain. */
  readonly network: string
  /** 32 bytes that name the gateway in the registry; not zero. */
  readonly gatewayId: Hex
  /** Who first owned what the payee collects. */
  readonly payeeOwner: Hex
  readonly registry: Hex
  /** Who may revoke keys. */
  readonly guardian: Hex
  /** Who may announce keys, in the order in which the timelock was built; each once. */
  readonly proposers: readonly Hex[]
  /** How long everybody sees a key before it counts. */
  readonly minDelaySeconds: number
  /** A block at or before the one in which the timelock was deployed. */
  readonly fromBlock: number
}

/** Longest document (CO7.1). */
export const maxOperatorTermsBytes = 4096

const maxProposers = 32
const maxDelaySeconds = 1_000_000_000
const maxBlock = 2 ** 53 - 1
const noGateway: Hex = `0x${'0'.repeat(64)}`
const networkForm = /^eip155:[1-9][0-9]{0,14}$/

/** The one encoding of these terms: its SHA-256 stands in the keyset (CO7.3). */
export function encodeOperatorTerms(terms: OperatorTerms): Uint8Array {
  const { network, gatewayId, payeeOwner, registry, guardian, proposers } = terms
  const { minDelaySeconds, fromBlock } = terms
  const parties = { network, gatewayId, payeeOwner, registry, guardian, proposers }
  return encodeUtf8(JSON.stringify({ version: 1, ...parties, minDelaySeconds, fromBlock }))
}

/**
 * Reads what a gateway announces. Another encoding of the same terms is refused, too.
 *
 * @throws ProtocolError `terms-malformed`.
 */
export function parseOperatorTerms(bytes: Uint8Array): OperatorTerms {
  const json = bytes.length <= maxOperatorTermsBytes ? decodeJson(bytes) : undefined
  const terms = isJsonMap(json) ? readTerms(json) : undefined
  // Members that are missing, in another order, repeated, unknown or written otherwise: all end here.
  if (terms === undefined || !equalBytes(encodeOperatorTerms(terms), bytes)) {
    throw new ProtocolError('terms-malformed')
  }
  return terms
}

function readTerms(members: JsonMap): OperatorTerms | undefined {
  const network = members.get('network')
  const gatewayId = parseWord(members.get('gatewayId'))
  const payeeOwner = parseAddress(members.get('payeeOwner'))
  const registry = parseAddress(members.get('registry'))
  const guardian = parseAddress(members.get('guardian'))
  const proposers = readProposers(members.get('proposers'))
  const minDelaySeconds = readCount(members.get('minDelaySeconds'), maxDelaySeconds)
  const fromBlock = readCount(members.get('fromBlock'), maxBlock)
  const isNamed = typeof network === 'string' && networkForm.test(network)
  if (!isNamed || gatewayId === undefined || gatewayId === noGateway) return undefined
  if (payeeOwner === undefined || registry === undefined || guardian === undefined) return undefined
  if (proposers === undefined || minDelaySeconds === undefined || fromBlock === undefined) {
    return undefined
  }
  const parties = { network, gatewayId, payeeOwner, registry, guardian, proposers }
  return { ...parties, minDelaySeconds, fromBlock }
}

function readProposers(value: JsonValue | undefined): readonly Hex[] | undefined {
  if (!Array.isArray(value)) return undefined
  const proposers = value.flatMap((each) => parseAddress(each) ?? [])
  const isWhole = proposers.length === value.length && new Set(proposers).size === value.length
  return isWhole && value.length > 0 && value.length <= maxProposers ? proposers : undefined
}

function readCount(value: JsonValue | undefined, most: number): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= most ? value : undefined
}
