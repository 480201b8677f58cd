/** The file of charge keys of a gateway (`payment.chargeKeysFile`): one key a line, for nobody else's eyes. */
import { decodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import { createSecretFile, readSecretFile, replaceSecretFile } from '../files/secret-file.ts'

/** Most keys of a gateway (spec/payment.md PA28.1). */
const maxKeys = 8
const maxFileBytes = 4096
const keyForm = /^0x[0-9a-f]{64}$/

/** A key that the file holds. */
type KeyLine = { readonly key: string; readonly address: Hex }

/**
 * The addresses in the file, EIP-55, in its order; none where there is no file.
 *
 * @throws ClientError `file-unreadable`, `state-malformed`. Nothing of the file is ever repeated.
 */
export async function readKeyAddresses(path: string): Promise<readonly Hex[]> {
  return (await readLines(path))?.map(({ address }) => address) ?? []
}

/**
 * Adds a new key after the others, or makes the file. The key is on the disk when this resolves, and nowhere else.
 *
 * @returns its address, EIP-55.
 * @throws ClientError `charge-key-refused` when there are eight; `file-unwritable`, as `readKeyAddresses`.
 */
export async function addKey(path: string): Promise<Hex> {
  const lines = await readLines(path)
  if (lines !== undefined && lines.length >= maxKeys) {
    const detail = `${path} has ${maxKeys} keys: drop one that has ended`
    throw new ClientError('charge-key-refused', { detail })
  }
  const key = generatePrivateKey()
  const text = toText([...(lines ?? []).map((line) => line.key), key])
  // A file that came meanwhile is not written over.
  await (lines === undefined ? createSecretFile(path, text) : replaceSecretFile(path, text))
  return privateKeyToAddress(key)
}

/**
 * Takes a key out of the file, for ever.
 *
 * @throws ClientError `charge-key-refused` when it is not there, or is the last one; as `addKey`.
 */
export async function dropKey(path: string, address: Hex): Promise<void> {
  const lines = (await readLines(path)) ?? []
  const left = lines.filter((line) => line.address.toLowerCase() !== address)
  if (left.length === lines.length) {
    throw new ClientError('charge-key-refused', { detail: `${address} is not in ${path}` })
  }
  if (left.length === 0) {
    const detail = `${address} is the last key of ${path}: make the next one first`
    throw new ClientError('charge-key-refused', { detail })
  }
  await replaceSecretFile(path, toText(left.map(({ key }) => key)))
}

function toText(keys: readonly string[]): string {
  return `${keys.join('\n')}\n`
}

async function readLines(path: string): Promise<readonly KeyLine[] | undefined> {
  const bytes = await readSecretFile(path, maxFileBytes)
  if (bytes === undefined) return undefined
  const keys = (decodeUtf8(bytes) ?? ' ').split('\n').filter((line) => line !== '')
  if (keys.length > maxKeys) throw malformed(`${path} has more than ${maxKeys} keys`)
  if (new Set(keys).size !== keys.length) throw malformed(`${path} has one key twice`)
  return keys.map((key, index) => ({ key, address: toAddress(key, path, index + 1) }))
}

function toAddress(key: string, path: string, line: number): Hex {
  const form = malformed(`line ${line} of ${path} is no charge key`)
  if (!keyForm.test(key)) throw form
  try {
    return privateKeyToAddress(`0x${key.slice(2)}`)
  } catch {
    // Its message would hold the key.
    throw form
  }
}

function malformed(detail: string): ClientError {
  return new ClientError('state-malformed', { detail })
}
