/** Several pieces of evidence for one keyset, as bundles carry them (spec/attestation.md AT19.1). */
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { encodeCbor, isCborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { openMap } from '../bytes/map-reader.ts'
import { ProtocolError } from '../errors.ts'
import { platforms, type Platform, type PlatformEvidence } from './appraisal.ts'
import { maxEvidenceBytes } from './limits.ts'
import { encodePlatformEvidence, parsePlatformEvidence } from './platform-evidence.ts'

/** The kind of such evidence: it stands where else the name of a platform does. */
export const severalKind = 'several'

/** Most pieces of one set. */
export const maxPieces = 8

/** Evidence by platform, one piece of each. */
export type EvidenceSet = ReadonlyMap<Platform, PlatformEvidence>

/** The bytes of a set; its order is that of the encoding. */
export function encodeEvidenceSet(set: EvidenceSet): Uint8Array {
  const pieces = Array.from(
    set,
    ([platform, evidence]) => [platform, encodePlatformEvidence(evidence)] as const,
  )
  const fields = new Map<number, CborValue>([
    [1, 1],
    [2, new Map(pieces)],
  ])
  return encodeCbor(fields)
}

/**
 * Parses a set of 1 to 8 pieces, 1 MiB together.
 *
 * @throws ProtocolError `evidence-malformed`, also when one of the pieces is.
 */
export function parseEvidenceSet(bytes: Uint8Array): EvidenceSet {
  try {
    const fields = openMap(decodeCbor(bytes, maxEvidenceBytes), [1, 2], [], 'evidence-malformed')
    fields.integer(1, 1, 1)
    return readPieces(fields.value(2))
  } catch (cause) {
    throw new ProtocolError('evidence-malformed', { cause })
  }
}

function readPieces(value: CborValue): EvidenceSet {
  if (!isCborMap(value) || value.size === 0 || value.size > maxPieces) {
    throw new ProtocolError('evidence-malformed')
  }
  const set = new Map<Platform, PlatformEvidence>()
  for (const [name, bytes] of value) {
    const platform = platforms.find((known) => known === name)
    if (platform === undefined || !(bytes instanceof Uint8Array)) {
      throw new ProtocolError('evidence-malformed')
    }
    set.set(platform, parsePlatformEvidence(bytes))
  }
  return set
}
