/** A TPM, and keys in it, for the time of one task: what is loaded is removed, what is opened is closed. */
import { createPrimary, flushAfter, startup, type TpmKey } from './tpm-client.ts'
import { attestationKeyTemplate, endorsementKeyTemplate } from './tpm-templates.ts'
import { openTpm, type TpmAddress, type TpmTransport } from './tpm-transport.ts'

/** Opens a TPM for a task. */
export async function withTpm<T>(
  address: TpmAddress,
  timeoutMs: number,
  task: (tpm: TpmTransport) => Promise<T>,
): Promise<T> {
  const tpm = await openTpm(address, timeoutMs)
  try {
    // The kernel's resource manager started its TPM; behind a bare socket nobody may have.
    if (address.kind !== 'device') await startup(tpm)
    return await task(tpm)
  } finally {
    await tpm.close()
  }
}

/** Loads the AK for a task. */
export function withAttestationKey<T>(
  tpm: TpmTransport,
  task: (key: TpmKey) => Promise<T>,
): Promise<T> {
  return withPrimary(tpm, attestationKeyTemplate, task)
}

/** Loads the EK for a task. */
export function withEndorsementKey<T>(
  tpm: TpmTransport,
  task: (key: TpmKey) => Promise<T>,
): Promise<T> {
  return withPrimary(tpm, endorsementKeyTemplate, task)
}

/** Loads the primary key of a template for a task. */
export async function withPrimary<T>(
  tpm: TpmTransport,
  template: Uint8Array,
  task: (key: TpmKey) => Promise<T>,
): Promise<T> {
  const key = await createPrimary(tpm, template)
  return flushAfter(tpm, key.handle, () => task(key))
}
