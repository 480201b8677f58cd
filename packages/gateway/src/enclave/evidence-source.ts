/** The seam for hardware: who makes evidence about report data (spec/attestation.md AT1). */
import type { Platform, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'

/** A source of evidence of one platform. It may be called by several callers at once. */
export type EvidenceSource = {
  readonly kind: Platform
  /**
   * Evidence bound to the report data (64 bytes), with the collateral that the machine itself has.
   *
   * @throws AttestationError
   */
  attest(reportData: Uint8Array): Promise<PlatformEvidence>
}
