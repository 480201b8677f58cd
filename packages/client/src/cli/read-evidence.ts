/** Evidence and its collateral from files, in the forms in which people have them. */
import type { PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { parseEvidenceSet, type EvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import { parsePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { decodeUtf8, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { isCborMap } from '@countersign/protocol/bytes/cbor-encode'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { ProtocolError } from '@countersign/protocol/errors'
import { UsageError } from './command.ts'
import { readFileBounded } from './read-file-bounded.ts'

const maxBytes = 1_048_576
const pemBlock = /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n?$/

/** Pieces that verifiers take as DER. */
const derNames: ReadonlySet<string> = new Set(['ark', 'ask', 'vek'])

/** Names in the JSON of collateral services, and what they are here: text as signed, or hex. */
const serviceNames: readonly (readonly [string, string, 'text' | 'hex'])[] = [
  ['tcb_info', 'tcb-info', 'text'],
  ['tcb_info_signature', 'tcb-info-signature', 'hex'],
  ['tcb_info_issuer_chain', 'tcb-info-chain', 'text'],
  ['qe_identity', 'qe-identity', 'text'],
  ['qe_identity_signature', 'qe-identity-signature', 'hex'],
  ['qe_identity_issuer_chain', 'qe-identity-chain', 'text'],
  ['root_ca_crl', 'root-crl', 'hex'],
  ['pck_crl', 'pck-crl', 'hex'],
]

/**
 * Reads evidence. `collateral` are the values of `--collateral`.
 *
 * @throws UsageError for a form that a file has not; ClientError `file-unreadable`.
 */
export async function readEvidence(
  path: string,
  format: string,
  collateral: readonly string[],
): Promise<PlatformEvidence> {
  const bytes = await readFileBounded(path, maxBytes)
  const evidence = decodeEvidence(bytes, format)
  const pieces = new Map(evidence.collateral)
  for (const given of collateral) {
    for (const [name, piece] of await readCollateral(given)) pieces.set(name, piece)
  }
  return { raw: evidence.raw, collateral: pieces }
}

/**
 * Reads a set of evidence.
 *
 * @throws UsageError, ClientError `file-unreadable`.
 */
export async function readEvidenceSet(path: string): Promise<EvidenceSet> {
  const bytes = await readFileBounded(path, maxBytes)
  try {
    return parseEvidenceSet(bytes)
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new UsageError('the file is no set of evidence (AT19.1)', { cause })
  }
}

function decodeEvidence(bytes: Uint8Array, format: string): PlatformEvidence {
  switch (format) {
    case 'raw':
      return { raw: bytes, collateral: new Map() }
    case 'hex':
    case 'base64':
      return { raw: decodeText(bytes, format), collateral: new Map() }
    case 'evidence':
      return parseContainer(bytes)
    default:
      throw new UsageError('--format takes raw, hex, base64 or evidence')
  }
}

function parseContainer(bytes: Uint8Array): PlatformEvidence {
  try {
    return parsePlatformEvidence(bytes)
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new UsageError('the file is no evidence with its collateral (AT1.2)', { cause })
  }
}

async function readCollateral(
  given: string,
): Promise<readonly (readonly [name: string, piece: Uint8Array])[]> {
  const at = given.indexOf('=')
  const bytes = await readFileBounded(given.slice(at + 1), maxBytes)
  if (at < 0) return readServiceJson(bytes)
  const name = given.slice(0, at)
  return [[name, derNames.has(name) ? toDer(bytes) : bytes]]
}

function readServiceJson(
  bytes: Uint8Array,
): readonly (readonly [name: string, piece: Uint8Array])[] {
  const json = decodeJson(bytes)
  if (!isCborMap(json)) throw new UsageError('--collateral takes NAME=FILE or a JSON file')
  return serviceNames.flatMap(([member, name, form]) => {
    const text = json.get(member)
    if (typeof text !== 'string') return []
    const piece = form === 'text' ? encodeUtf8(text) : fromHex(text)
    if (piece === undefined) throw new UsageError(`${member} in the collateral is no hex`)
    return [[name, piece] as const]
  })
}

/** The bytes of the only certificate of a PEM text; other bytes as they are. */
function toDer(bytes: Uint8Array): Uint8Array {
  const [, base64] = pemBlock.exec(decodeUtf8(bytes) ?? '') ?? []
  return base64 === undefined ? bytes : Uint8Array.from(Buffer.from(base64, 'base64'))
}

function decodeText(bytes: Uint8Array, format: 'hex' | 'base64'): Uint8Array {
  const text = (decodeUtf8(bytes) ?? '').trim()
  const decoded = Uint8Array.from(Buffer.from(text, format))
  // Node stops at what it cannot read: whatever does not come out again was not read.
  const again = Buffer.from(decoded).toString(format)
  const isWhole = again === (format === 'hex' ? text.toLowerCase() : text)
  if (text === '' || !isWhole) throw new UsageError(`the file is not written in ${format}`)
  return decoded
}
