/** Generates the files of `vectors/attestation/` (see vectors/README.md). */
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { formatCases } from '../format-cases.ts'
import { azureCases } from './cases/azure.ts'
import { dcapCases } from './cases/dcap.ts'
import { nitroCases } from './cases/nitro.ts'
import { nvidiaCases } from './cases/nvidia.ts'
import { snpCases } from './cases/sev-snp.ts'
import { azureCases as azureTokenCases } from './cases/token-azure.ts'
import { tokenFormCases } from './cases/token-form.ts'
import { gpuTokenCases } from './cases/token-gpu.ts'
import { workloadCases } from './cases/token-workload.ts'
import { tpmCases } from './cases/tpm.ts'
import { compactCases } from './compact.ts'
import { judgeEvidenceCase, type EvidenceCase } from './evidence-case.ts'

const files: readonly (readonly [string, () => readonly EvidenceCase[]])[] = [
  ['azure', azureCases],
  ['dcap', dcapCases],
  ['nitro', nitroCases],
  ['nvidia', nvidiaCases],
  ['sev-snp', snpCases],
  ['token', tokenCases],
  ['tpm', tpmCases],
]

function tokenCases(): readonly EvidenceCase[] {
  return [...workloadCases(), ...azureTokenCases(), ...gpuTokenCases(), ...tokenFormCases()]
}

/**
 * The text of each generated file by its path from the root of the repository. The same every time.
 *
 * @throws Error listing every case in which something else comes out than its author named.
 */
export async function generateEvidenceVectors(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  const faults: string[] = []
  for (const [name, list] of files) {
    const cases = list()
    const names = cases.map((given) => given.name)
    const repeated = names.filter((text, at) => names.indexOf(text) !== at)
    faults.push(...repeated.map((text) => `two cases are named "${text}"`))
    const judged = await Promise.allSettled(
      cases.map((given) => judgeEvidenceCase(given, appraisers)),
    )
    for (const result of judged)
      if (result.status === 'rejected') faults.push(String(result.reason))
    const stored = judged.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    texts.set(`vectors/attestation/${name}.json`, formatCases(compactCases(stored)))
  }
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return texts
}
