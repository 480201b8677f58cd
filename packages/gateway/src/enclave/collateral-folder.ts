/** Collateral that an operator keeps in a folder: statements of vendors that the machine itself does not have. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'

const nameForm = /^[a-z0-9-]{1,64}$/
const maxFiles = 32
const maxFileBytes = 262_144

/**
 * A source whose evidence also carries the files of a folder, by their names. They are read each time, so that a
 * refresh needs no restart. What the machine gives itself is not replaced.
 */
export function withCollateral(source: EvidenceSource, folder: string): EvidenceSource {
  return {
    kind: source.kind,
    attest: async (reportData) => {
      const { raw, collateral } = await source.attest(reportData)
      return { raw, collateral: new Map([...(await readCollateral(folder)), ...collateral]) }
    },
  }
}

/** Files with other names, a README among them, are no collateral. */
async function readCollateral(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  try {
    const names = (await readdir(folder)).filter((name) => nameForm.test(name)).toSorted()
    if (names.length > maxFiles) throw new AttestationError('attester-malformed', folder)
    const collateral = new Map<string, Uint8Array>()
    for (const name of names) collateral.set(name, await readBounded(join(folder, name)))
    return collateral
  } catch (cause) {
    if (cause instanceof AttestationError) throw cause
    throw new AttestationError('attester-unreachable', folder, { cause })
  }
}

async function readBounded(file: string): Promise<Uint8Array> {
  const { size } = await stat(file)
  if (size > maxFileBytes) throw new AttestationError('attester-malformed', `size of ${file}`)
  return readFile(file)
}
