/** Evidence with its collateral as one byte string: what bundles and keysets carry (spec/attestation.md). */
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { encodeCbor, isCborMap, type CborValue } from '../bytes/cbor-encode.ts'
import { openMap } from '../bytes/map-reader.ts'
import { ProtocolError } from '../errors.ts'
import type { PlatformEvidence } from './appraisal.ts'
import { maxCollateral, maxCollateralBytes, maxEvidenceBytes, maxRawBytes } from './limits.ts'

const nameForm = /^[a-z0-9-]{1,64}$/

/** The bytes of evidence. */
export function encodePlatformEvidence({ raw, collateral }: PlatformEvidence): Uint8Array {
  const fields = new Map<number, CborValue>([
    [1, 1],
    [2, raw],
    [3, new Map(collateral)],
  ])
  return encodeCbor(fields)
}

/**
 * Parses evidence: at most 1 MiB, of which the platform's own part has at most 64 KiB, and each of at most 32 pieces of
 * collateral 256 KiB.
 *
 * @throws ProtocolError `evidence-malformed`.
 */
export function parsePlatformEvidence(bytes: Uint8Array): PlatformEvidence {
  try {
    const fields = openMap(decodeCbor(bytes, maxEvidenceBytes), [1, 2, 3], [], 'evidence-malformed')
    fields.integer(1, 1, 1)
    return { raw: fields.bytes(2, 1, maxRawBytes), collateral: readCollateral(fields.value(3)) }
  } catch (cause) {
    throw new ProtocolError('evidence-malformed', { cause })
  }
}

function readCollateral(value: CborValue): PlatformEvidence['collateral'] {
  if (!isCborMap(value) || value.size > maxCollateral) throw new ProtocolError('evidence-malformed')
  const collateral = new Map<string, Uint8Array>()
  for (const [name, bytes] of value) {
    const isName = typeof name === 'string' && nameForm.test(name)
    const isPiece = bytes instanceof Uint8Array && bytes.length <= maxCollateralBytes
    if (!isName || !isPiece) throw new ProtocolError('evidence-malformed')
    collateral.set(name, bytes)
  }
  return collateral
}
