/** The seam between keysets and hardware: evidence for report data, as it stands in bundles. */
import { encodePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'

/** Makes evidence for report data (64 bytes). */
export type Attester = {
  /** Kind of the evidence in bundles: a platform, `several`, or `simulated`. */
  readonly kind: string
  /** @throws AttestationError */
  attest(reportData: Uint8Array, nowMs: number): Promise<Uint8Array>
}

// One quote takes some milliseconds, on slow hardware a second: whoever asks for more is told to come back.
const maxWaiting = 16

/** One task of the source at a time, 16 waiting at most; more are refused with `attester-busy`. */
export function createAttester(source: EvidenceSource): Attester {
  const queue = createQueue(source)
  return {
    kind: queue.kind,
    attest: async (reportData) => encodePlatformEvidence(await queue.attest(reportData)),
  }
}

/** A source that is asked once at a time. */
export function createQueue(source: EvidenceSource): EvidenceSource {
  // Owned by attest: settles when the last task so far has settled; never rejects.
  let tail: Promise<unknown> = Promise.resolve()
  let waiting = 0
  return {
    kind: source.kind,
    attest: async (reportData) => {
      if (waiting === maxWaiting) throw new AttestationError('attester-busy', source.kind)
      waiting += 1
      const evidence = tail
        .then(() => source.attest(reportData))
        .finally(() => {
          waiting -= 1
        })
      tail = evidence.catch(() => undefined)
      return await evidence
    },
  }
}
