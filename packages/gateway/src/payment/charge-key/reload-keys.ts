/** Charge keys of a configuration that is read again (spec/payment.md PA28.5). */
import type { Config } from '../../config/schema.ts'
import type { ChargeKeys, KeyChange } from './charge-keys.ts'
import { longestCallMs } from './longest-call.ts'
import { readChargeKeys } from './read-charge-keys.ts'

/**
 * Has the keysets of this configuration name its keys, which take the place of those before by `commit`.
 *
 * @throws ConfigError when they cannot be read, or must not be left out; nothing has changed then.
 */
export async function reloadChargeKeys(
  keys: ChargeKeys | undefined,
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KeyChange> {
  if (keys === undefined) return nothingChanges
  return keys.replace(readChargeKeys(config, environment), longestCallMs(config))
}

const nothingChanges: KeyChange = { commit: () => undefined, undo: () => undefined }
