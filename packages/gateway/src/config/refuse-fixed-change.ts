/** What of a configuration can change while the gateway runs (docs/configuration.md, "Reloading"). */
import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from './load-config.ts'
import type { AttestationConfig, Config } from './schema.ts'

/** All else is opened, bound, measured or promised once, at the start. */
const changeable: ReadonlySet<string> = new Set([
  '$schema',
  'upstreams',
  'models',
  'prices',
  'limits',
] satisfies (keyof Config)[])

/**
 * Refuses a configuration that cannot take the place of another one.
 *
 * @throws ConfigError naming every member that would need a new start.
 */
export function refuseFixedChange(old: Config, next: Config): void {
  if (measuresConfiguration(next.attestation)) {
    // The TPM has measured the configuration, and cannot unmeasure it before the machine starts anew.
    throw new ConfigError('the configuration is measured by the TPM: it needs a new start')
  }
  const before = new Map<string, unknown>(Object.entries(old))
  const after = new Map<string, unknown>(Object.entries(next))
  const names = new Set([...before.keys(), ...after.keys()])
  const fixed = Array.from(names).filter(
    (name) => !changeable.has(name) && !isDeepStrictEqual(before.get(name), after.get(name)),
  )
  if (fixed.length === 0) return
  throw new ConfigError(`${fixed.join(', ')} cannot change while the gateway runs`)
}

/** Whether a TPM is to measure the configuration when the gateway starts. */
export function measuresConfiguration(attestation: AttestationConfig): boolean {
  const sources = attestation.kind === 'several' ? attestation.sources : [attestation]
  return sources.some(({ kind }) => kind === 'tpm' || kind === 'azure')
}
