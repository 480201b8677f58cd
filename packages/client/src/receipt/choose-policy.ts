/** Which policy of receipts holds where the caller names none. */
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'

/** Whoever says what to ask of hardware wants hardware: SIMULATED evidence would pass without being asked anything. */
export function choosePolicy(
  policy: Uint8Array | undefined,
  judgeEvidence: EvidenceVerifier | undefined,
): Uint8Array {
  return policy ?? (judgeEvidence === undefined ? defaultPolicy : productionPolicy)
}
