/** Where charge keys come from: a file that can be replaced while the gateway runs, or the environment. */
import { readFileSync, statSync } from 'node:fs'
import { privateKeyToAddress } from 'viem/accounts'
import { ConfigError } from '../../config/load-config.ts'
import type { Config } from '../../config/schema.ts'

type Environment = Readonly<Record<string, string | undefined>>
type PrivateKey = `0x${string}`

const maxKeys = 8
const maxFileBytes = 4096
const keyForm = /^0x[0-9a-f]{64}$/
const settlementKeyName = 'COUNTERSIGN_SETTLEMENT_KEY'
const chargeKeyName = 'COUNTERSIGN_CHARGE_KEY'

/** Pays for transactions. @throws ConfigError when it is missing or malformed. */
export function readSettlementKey(environment: Environment): PrivateKey {
  return readKey(environment, settlementKeyName)
}

/**
 * The keys that sign charges and claims (spec/payment.md PA28.1), at least one, in the order of the file.
 *
 * @throws ConfigError when one is missing or malformed, and when others can read the file.
 */
export function readChargeKeys(config: Config, environment: Environment): readonly PrivateKey[] {
  const file = config.payment === 'none' ? undefined : config.payment.chargeKeysFile
  if (file !== undefined) return readKeyFile(file)
  const hasOwn = environment[chargeKeyName] !== undefined
  return [hasOwn ? readKey(environment, chargeKeyName) : readSettlementKey(environment)]
}

function readKey(environment: Environment, name: string): PrivateKey {
  const key = environment[name]
  if (key === undefined || !keyForm.test(key)) {
    throw new ConfigError(`environment variable ${name} must hold 0x and 64 hex digits`)
  }
  return checkKey(key, name)
}

function readKeyFile(file: string): readonly PrivateKey[] {
  const lines = readLines(file)
  if (lines.length === 0 || lines.length > maxKeys) {
    throw new ConfigError(`${file} must hold 1 to ${maxKeys} charge keys, one a line`)
  }
  const keys = lines.map((line, index) => {
    // The line itself is never repeated: it may be a key with a slip of the pen.
    if (!keyForm.test(line)) throw new ConfigError(`line ${index + 1} of ${file} is no charge key`)
    return checkKey(line, `line ${index + 1} of ${file}`)
  })
  if (new Set(keys).size !== keys.length) throw new ConfigError(`${file} has one key twice`)
  return keys
}

function readLines(file: string): readonly string[] {
  try {
    // Windows knows no such modes.
    const isOpen = process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0
    if (isOpen) throw new ConfigError(`${file} must be readable by its owner only (chmod 600)`)
    const text = readFileSync(file, 'utf8')
    if (text.length > maxFileBytes) throw new ConfigError(`${file} is too large`)
    return text.split('\n').filter((line) => line !== '')
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`${file} (payment.chargeKeysFile) cannot be read`, { cause })
  }
}

function checkKey(text: string, place: string): PrivateKey {
  const key: PrivateKey = `0x${text.slice(2)}`
  try {
    privateKeyToAddress(key)
    return key
  } catch {
    // Its message would hold the key.
    throw new ConfigError(`${place} is no private key of secp256k1`)
  }
}
