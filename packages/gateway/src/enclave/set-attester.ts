/** Evidence of several sources for one keyset, so that several vendors can agree (spec/attestation.md AT19). */
import {
  encodeEvidenceSet,
  severalKind,
  type EvidenceSet,
} from '@countersign/protocol/attestation/evidence-set'
import { AttestationError } from './attestation-error.ts'
import { createQueue, type Attester } from './attester.ts'
import type { EvidenceSource } from './evidence-source.ts'

/** How many sources must answer, and who is told of one that did not. */
export type SetOptions = {
  /** Fewer pieces than these are no evidence. */
  readonly atLeast: number
  readonly onMissing: (error: AttestationError) => void
}

// What does not fit into an answer of /v1/attestation, in base64url beside a keyset, is of no use (ST5.7).
const maxSetBytes = 720_896

/**
 * An attester that asks all sources about the same report data, each once at a time.
 *
 * @throws AttestationError `same-platform-twice`.
 */
export function createSetAttester(
  sources: readonly EvidenceSource[],
  { atLeast, onMissing }: SetOptions,
): Attester {
  const queues = sources.map(createQueue)
  const kinds = queues.map(({ kind }) => kind)
  const repeated = kinds.find((kind, at) => kinds.indexOf(kind) !== at)
  if (repeated !== undefined) throw new AttestationError('same-platform-twice', repeated)
  return {
    kind: severalKind,
    attest: async (reportData) => {
      const asked = await Promise.allSettled(
        queues.map(async (queue) => [queue.kind, await queue.attest(reportData)] as const),
      )
      const errors = asked.flatMap((end) =>
        end.status === 'rejected' ? [toAttestationError(end.reason)] : [],
      )
      const pieces = asked.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
      // Who asks for much must not take pieces away from others.
      const fatal = errors.find(({ code }) => code === 'attester-busy') ?? errors[0]
      const isEnough = pieces.length >= atLeast && fatal?.code !== 'attester-busy'
      if (fatal !== undefined && !isEnough) throw fatal
      for (const error of errors) onMissing(error)
      return encodeBounded(new Map(pieces))
    },
  }
}

/** What is no failure of a source is a bug, and thrown on. */
function toAttestationError(reason: unknown): AttestationError {
  if (reason instanceof AttestationError) return reason
  throw reason
}

function encodeBounded(set: EvidenceSet): Uint8Array {
  const bytes = encodeEvidenceSet(set)
  if (bytes.length > maxSetBytes) {
    throw new AttestationError('attester-malformed', 'all evidence together is too large')
  }
  return bytes
}
