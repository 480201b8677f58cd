/** The enrolment record of this machine: kept in a file, made once. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { AttestationError } from '../attestation-error.ts'
import { enrolTpm, type Challenger } from './enrol.ts'
import type { TpmAddress } from './tpm-transport.ts'

/**
 * The record in the file; where there is none, a new one from the challenger.
 *
 * The file is renamed into place: after a crash it is there whole or not at all, and the next start enrols again.
 *
 * @throws AttestationError `attester-unreachable` when there is neither file nor challenger.
 */
export async function readOrEnrol(
  file: string,
  address: TpmAddress,
  timeoutMs: number,
  challenger: Challenger | undefined,
): Promise<Uint8Array> {
  const record = await readIfThere(file)
  if (record !== undefined) return record
  if (challenger === undefined) {
    throw new AttestationError('attester-unreachable', `${file}, and no challengerUrl`)
  }
  const made = await enrolTpm(address, timeoutMs, challenger)
  await writeFile(`${file}.new`, made, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return made
}

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new AttestationError('attester-unreachable', file, { cause: error })
  }
}
