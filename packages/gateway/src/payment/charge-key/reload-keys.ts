/** Charge keys of a configuration that is read again (spec/payment.md PA28.5). */
import type { Config } from '../../config/schema.ts'
import type { ChargeKeys } from './charge-keys.ts'
import { longestCallMs } from './longest-call.ts'
import { readChargeKeys } from './read-charge-keys.ts'

/**
 * Puts the keys of now in the place of those before; the function that it resolves with takes that back.
 *
 * @throws ConfigError when they cannot be read, or must not be left out; nothing has changed then.
 */
export async function reloadChargeKeys(
  keys: ChargeKeys | undefined,
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<() => void> {
  if (keys === undefined) return () => undefined
  return keys.replace(readChargeKeys(config, environment), longestCallMs(config))
}
