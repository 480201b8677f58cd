/**
 * Keys in files under a password: Web3 Secret Storage version 3, as geth and others write it. Read strictly, because a
 * file chooses how much work and memory its password costs.
 */
import {
  createCipheriv,
  createDecipheriv,
  pbkdf2,
  randomBytes,
  randomUUID,
  scrypt,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'

/** Most bytes of a keystore file. */
export const maxKeystoreBytes = 65_536

/** What scrypt costs in a new file: 256 MiB and about a second, the defaults of geth. */
export const defaultScryptCost: number = 2 ** 18

type Derivation =
  | {
      readonly kind: 'scrypt'
      readonly salt: Uint8Array
      readonly N: number
      readonly r: number
      readonly p: number
    }
  | { readonly kind: 'pbkdf2'; readonly salt: Uint8Array; readonly rounds: number }

type Keystore = {
  readonly address: string | undefined
  readonly cipherText: Uint8Array
  readonly iv: Uint8Array
  readonly mac: Uint8Array
  readonly derivation: Derivation
}

const keyBytes = 32
const blockSize = 8
const maxScryptBytes = 2 ** 30
const maxScryptParallel = 16
const maxRounds = 10_000_000
const minPasswordBytes = 1
const hexForm = /^(?:[0-9a-fA-F]{2})*$/
const deriveByScrypt = promisify<
  Uint8Array,
  Uint8Array,
  number,
  { readonly N: number; readonly r: number; readonly p: number; readonly maxmem: number },
  Buffer
>(scrypt)
const deriveByPbkdf2 = promisify(pbkdf2)

/**
 * The text of a new keystore file for a private key of 32 bytes.
 *
 * @throws ClientError `keystore-password` for an empty password.
 */
export async function encryptKeystore(
  privateKey: Uint8Array,
  password: Uint8Array,
  scryptCost: number = defaultScryptCost,
): Promise<string> {
  refuseEmpty(password)
  const account = toAccount(privateKey)
  const derivation = {
    kind: 'scrypt',
    salt: randomBytes(32),
    N: scryptCost,
    r: blockSize,
    p: 1,
  } as const
  const derived = await derive(derivation, password)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv)
  const cipherText = Buffer.concat([cipher.update(privateKey), cipher.final()])
  const json = {
    version: 3,
    id: randomUUID(),
    address: account.address.slice(2).toLowerCase(),
    crypto: {
      cipher: 'aes-128-ctr',
      ciphertext: cipherText.toString('hex'),
      cipherparams: { iv: iv.toString('hex') },
      kdf: 'scrypt',
      kdfparams: {
        dklen: keyBytes,
        n: derivation.N,
        r: derivation.r,
        p: derivation.p,
        salt: derivation.salt.toString('hex'),
      },
      mac: toHex(macOf(derived, cipherText)),
    },
  }
  return `${JSON.stringify(json, null, 2)}\n`
}

/**
 * The account whose key is in this file.
 *
 * @throws ClientError `keystore-malformed`, `keystore-password` when the password is another one.
 */
export async function decryptKeystore(
  file: Uint8Array,
  password: Uint8Array,
): Promise<PrivateKeyAccount> {
  const keystore = parseKeystore(file)
  refuseEmpty(password)
  const derived = await derive(keystore.derivation, password)
  if (!timingSafeEqual(macOf(derived, keystore.cipherText), keystore.mac)) {
    throw new ClientError('keystore-password')
  }
  const decipher = createDecipheriv('aes-128-ctr', derived.subarray(0, 16), keystore.iv)
  const privateKey = Buffer.concat([decipher.update(keystore.cipherText), decipher.final()])
  const account = toAccount(privateKey)
  // The address is not under the MAC: somebody could have written another one to be paid to.
  if (keystore.address !== undefined && account.address.toLowerCase() !== keystore.address) {
    throw malformed('the address is not that of the key')
  }
  return account
}

/**
 * The address that the file states, or `undefined` when it states none. Nothing proves it before the password is given.
 *
 * @throws ClientError `keystore-malformed`.
 */
export function readKeystoreAddress(file: Uint8Array): string | undefined {
  return parseKeystore(file).address
}

function parseKeystore(file: Uint8Array): Keystore {
  const json = file.length <= maxKeystoreBytes ? decodeJson(file) : undefined
  if (!isJsonMap(json)) throw malformed('not strict JSON within 64 KiB')
  if (json.get('version') !== 3) throw malformed('the version is not 3')
  const crypto = objectOf(json, 'crypto')
  if (crypto.get('cipher') !== 'aes-128-ctr') throw malformed('the cipher is not aes-128-ctr')
  const address = json.get('address')
  return {
    address: address === undefined ? undefined : `0x${toHex(hexOf(json, 'address', 20, 20))}`,
    cipherText: hexOf(crypto, 'ciphertext', keyBytes, keyBytes),
    iv: hexOf(objectOf(crypto, 'cipherparams'), 'iv', 16, 16),
    mac: hexOf(crypto, 'mac', keyBytes, keyBytes),
    derivation: readDerivation(crypto.get('kdf'), objectOf(crypto, 'kdfparams')),
  }
}

function readDerivation(kdf: JsonValue | undefined, parameters: JsonMap): Derivation {
  if (parameters.get('dklen') !== keyBytes) throw malformed('dklen is not 32')
  const salt = hexOf(parameters, 'salt', 8, 128)
  if (kdf === 'pbkdf2') {
    if (parameters.get('prf') !== 'hmac-sha256') throw malformed('prf is not hmac-sha256')
    return { kind: kdf, salt, rounds: integerOf(parameters, 'c', maxRounds) }
  }
  if (kdf !== 'scrypt') throw malformed('kdf is not scrypt or pbkdf2')
  const r = integerOf(parameters, 'r', 64)
  const N = integerOf(parameters, 'n', maxScryptBytes)
  const p = integerOf(parameters, 'p', maxScryptParallel)
  if (N < 2 || (N & (N - 1)) !== 0) throw malformed('n is not a power of 2')
  // RFC 7914 §2; OpenSSL refuses it too.
  if (N >= 2 ** (16 * r)) throw malformed('n is too large for r')
  if (128 * N * r > maxScryptBytes) throw malformed('scrypt would take more than 1 GiB')
  return { kind: kdf, salt, N, r, p }
}

async function derive(derivation: Derivation, password: Uint8Array): Promise<Uint8Array> {
  const { salt } = derivation
  if (derivation.kind === 'pbkdf2') {
    return deriveByPbkdf2(password, salt, derivation.rounds, keyBytes, 'sha256')
  }
  const { N, r, p } = derivation
  const maxmem = 128 * r * (N + p) + 2 ** 20
  return deriveByScrypt(password, salt, keyBytes, { N, r, p, maxmem })
}

function macOf(derived: Uint8Array, cipherText: Uint8Array): Uint8Array {
  return keccak256(Buffer.concat([derived.subarray(16, 32), cipherText]))
}

function toAccount(privateKey: Uint8Array): PrivateKeyAccount {
  try {
    return privateKeyToAccount(`0x${toHex(privateKey)}`)
  } catch {
    // The cause would hold the key.
    throw malformed('it holds no private key')
  }
}

function refuseEmpty(password: Uint8Array): void {
  if (password.length < minPasswordBytes) {
    throw new ClientError('keystore-password', { detail: 'it is empty' })
  }
}

function objectOf(members: JsonMap, name: string): JsonMap {
  const value = members.get(name)
  if (!isJsonMap(value)) throw malformed(`${name} is no object`)
  return value
}

function integerOf(members: JsonMap, name: string, maximum: number): number {
  const value = members.get(name)
  if (typeof value !== 'number' || value < 1 || value > maximum) {
    throw malformed(`${name} is not a whole number from 1 to ${maximum}`)
  }
  return value
}

function hexOf(members: JsonMap, name: string, minimum: number, maximum: number): Uint8Array {
  const value = members.get(name)
  const text = typeof value === 'string' ? value.replace(/^0x/, '') : '?'
  const bytes = hexForm.test(text) ? fromHex(text.toLowerCase()) : undefined
  if (bytes === undefined || bytes.length < minimum || bytes.length > maximum) {
    throw malformed(`${name} has another form`)
  }
  return bytes
}

function malformed(detail: string): ClientError {
  return new ClientError('keystore-malformed', { detail })
}
