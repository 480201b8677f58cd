/** The policy by which a payer judges the terms that a gateway announces: what `createAnnouncedPayeeCheck` takes. */
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { isJsonArray, isJsonMap } from '../pay/base64-json.ts'
import { checkOperatorPolicy, type OperatorPolicy } from '../payee/operator-policy.ts'
import { readFileBounded } from './read-file-bounded.ts'

const maxBytes = 65_536
const maxListed = 1024
const lists = ['registries', 'payeeOwners', 'guardians', 'proposers'] as const
const known: ReadonlySet<string> = new Set([...lists, 'minDelaySeconds', 'trustsProposers'])

/**
 * Reads the file strictly: a member that is not known could be one that was meant to forbid something.
 *
 * @throws ClientError `file-unreadable`, `state-malformed`, `options-invalid`.
 */
export async function readOperatorPolicy(path: string): Promise<OperatorPolicy> {
  const bytes = await readFileBounded(path, maxBytes)
  const json = bytes.length <= maxBytes ? decodeJson(bytes) : undefined
  const policy = isJsonMap(json) ? readPolicy(json) : undefined
  if (policy === undefined) throw new ClientError('state-malformed', { detail: path })
  return checkOperatorPolicy(policy)
}

function readPolicy(json: JsonMap): OperatorPolicy | undefined {
  const minDelaySeconds = json.get('minDelaySeconds')
  const trustsProposers = json.get('trustsProposers') ?? false
  const isKnown = [...json.keys()].every((name) => known.has(name))
  if (!isKnown || typeof minDelaySeconds !== 'number' || typeof trustsProposers !== 'boolean') {
    return undefined
  }
  const named: [name: string, list: readonly Hex[]][] = []
  for (const name of lists) {
    const value = json.get(name)
    if (value === undefined) continue
    const list = readAddresses(value)
    if (list === undefined) return undefined
    named.push([name, list])
  }
  return { minDelaySeconds, trustsProposers, ...Object.fromEntries(named) }
}

function readAddresses(value: JsonValue): readonly Hex[] | undefined {
  if (!isJsonArray(value) || value.length > maxListed) return undefined
  const addresses = value.flatMap((each) => parseAddress(each) ?? [])
  return addresses.length === value.length ? addresses : undefined
}
