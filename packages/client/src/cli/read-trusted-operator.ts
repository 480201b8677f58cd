/** The terms of a gateway that a payer wrote down: what `createPayeeCheck` judges by. */
import { decodeJson, type JsonMap } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, parseWord, type Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { isJsonArray, isJsonMap } from '../pay/base64-json.ts'
import type { TrustedOperator } from '../payee/payee-check.ts'
import { readFileBounded } from './read-file-bounded.ts'

const maxBytes = 65_536
const maxProposers = 32

/** Reads the file strictly. @throws ClientError `file-unreadable`, `state-malformed`. */
export async function readTrustedOperator(path: string): Promise<TrustedOperator> {
  const bytes = await readFileBounded(path, maxBytes)
  const json = bytes.length <= maxBytes ? decodeJson(bytes) : undefined
  const malformed = (): ClientError => new ClientError('state-malformed', { detail: path })
  if (!isJsonMap(json)) throw malformed()
  const network = json.get('network')
  const gatewayId = parseWord(json.get('gatewayId'))
  const payeeOwner = parseAddress(json.get('payeeOwner'))
  const guardian = parseAddress(json.get('guardian'))
  const proposers = readProposers(json)
  const minDelaySeconds = json.get('minDelaySeconds')
  const trustsProposers = json.get('trustsProposers') ?? false
  const isRead =
    typeof network === 'string' &&
    gatewayId !== undefined &&
    payeeOwner !== undefined &&
    guardian !== undefined &&
    proposers !== undefined &&
    typeof minDelaySeconds === 'number' &&
    typeof trustsProposers === 'boolean'
  if (!isRead) throw malformed()
  const terms = { network, gatewayId, payeeOwner, guardian, proposers, minDelaySeconds }
  return { ...terms, trustsProposers }
}

function readProposers(json: JsonMap): readonly Hex[] | undefined {
  const value = json.get('proposers')
  if (!isJsonArray(value) || value.length > maxProposers) return undefined
  const proposers = value.map(parseAddress)
  return proposers.every((proposer) => proposer !== undefined) ? proposers : undefined
}
