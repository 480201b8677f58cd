/** The keys of a loopback network: made once, kept in a file that only its owner can read. Worth test money only. */
import { join } from 'node:path'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import { readSecretFile, replaceSecretFile } from '../files/secret-file.ts'
import { isJsonMap } from '../pay/base64-json.ts'

type Hex = `0x${string}`

/** The accounts of a network. */
export type NetworkKeys = {
  /** Sends settlements; its key goes to the gateway. */
  readonly settlementKey: Hex
  readonly settlement: PrivateKeyAccount
  /** Pays for calls. */
  readonly wallet: PrivateKeyAccount
  /** Receives what calls cost. */
  readonly payee: PrivateKeyAccount
}

const fileName = 'keys.json'
const maxFileBytes = 65_536
const members = ['settlementKey', 'walletKey', 'payeeKey'] as const
const keyForm = /^0x[0-9a-f]{64}$/

/**
 * Reads the keys of a folder.
 *
 * @throws ClientError `network-not-running` when there are none, `state-malformed`.
 */
export async function readNetworkKeys(folder: string): Promise<NetworkKeys> {
  const file = join(folder, fileName)
  const bytes = await readSecretFile(file, maxFileBytes)
  if (bytes === undefined) {
    throw new ClientError('network-not-running', { detail: `${file} is not there` })
  }
  const json = decodeJson(bytes)
  const [settlement, wallet, payee] = members.map((name) => {
    const key = isJsonMap(json) ? json.get(name) : undefined
    return typeof key === 'string' && keyForm.test(key) ? toPrivateKey(key) : undefined
  })
  if (settlement === undefined || wallet === undefined || payee === undefined) {
    throw new ClientError('state-malformed', { detail: file })
  }
  return {
    settlementKey: settlement,
    settlement: privateKeyToAccount(settlement),
    wallet: privateKeyToAccount(wallet),
    payee: privateKeyToAccount(payee),
  }
}

/** Reads the keys of a folder, making them the first time. A crash leaves no keys or all of them. */
export async function prepareNetworkKeys(folder: string): Promise<NetworkKeys> {
  try {
    return await readNetworkKeys(folder)
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'network-not-running') throw error
  }
  const entries = members.map((name) => [name, `0x${toHex(createKey())}`])
  const text = `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`
  await replaceSecretFile(join(folder, fileName), text)
  return readNetworkKeys(folder)
}

// Below the order of secp256k1 but for a chance of 2^-128, and viem refuses it then.
function createKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32))
}

function toPrivateKey(key: string): Hex {
  return `0x${key.slice(2)}`
}
