/** Generates the files of `vectors/attestation/` (see vectors/README.md). */
import {
  appraiseNitroEnclave,
  appraiseNitroTpm,
} from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { appraiseNvidiaGpu } from '@countersign/protocol/attestation/nvidia/appraise-nvidia'
import { appraiseAzureAttestation } from '@countersign/protocol/attestation/token/azure-attestation'
import { appraiseConfidentialSpace } from '@countersign/protocol/attestation/token/confidential-space'
import { appraiseNvidiaRemote } from '@countersign/protocol/attestation/token/nvidia-remote'
import { formatCases } from '../format-cases.ts'
import { nitroCases } from './cases/nitro.ts'
import { nvidiaCases } from './cases/nvidia.ts'
import { azureCases } from './cases/token-azure.ts'
import { tokenFormCases } from './cases/token-form.ts'
import { gpuTokenCases } from './cases/token-gpu.ts'
import { workloadCases } from './cases/token-workload.ts'
import { judgeEvidenceCase, type Appraisers, type EvidenceCase } from './evidence-case.ts'

/** The verifiers that the cases ask. */
export const appraisers: Appraisers = {
  'aws-nitro': appraiseNitroEnclave,
  'aws-nitrotpm': appraiseNitroTpm,
  'nvidia-gpu': appraiseNvidiaGpu,
  'google-confidential-space': appraiseConfidentialSpace,
  'azure-attestation': appraiseAzureAttestation,
  'nvidia-remote-attestation': appraiseNvidiaRemote,
}

const files: readonly (readonly [string, () => readonly EvidenceCase[]])[] = [
  ['nitro', nitroCases],
  ['nvidia', nvidiaCases],
  ['token', tokenCases],
]

function tokenCases(): readonly EvidenceCase[] {
  return [...workloadCases(), ...azureCases(), ...gpuTokenCases(), ...tokenFormCases()]
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
    texts.set(`vectors/attestation/${name}.json`, formatCases(stored))
  }
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return texts
}
