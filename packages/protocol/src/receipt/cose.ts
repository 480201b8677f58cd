/** COSE_Sign1 as spec/statement.md ST2 allows it. */
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { decodeCbor } from '../bytes/cbor-decode.ts'
import {
  encodeCbor,
  encodePrefixedCbor,
  isCborArray,
  isCborMap,
  type CborMap,
  type CborValue,
} from '../bytes/cbor-encode.ts'
import { openMap, type MapReader } from '../bytes/map-reader.ts'
import { judgeEs256, type Es256Signer } from '../crypto/es256.ts'
import { sha256 } from '../crypto/sha256.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'

/** The parts of a COSE_Sign1, each a copy of the bytes that were given. */
export type CoseSign1 = {
  readonly protectedBytes: Uint8Array
  readonly payloadBytes: Uint8Array
  readonly signature: Uint8Array
}

/** What every protected header here has. */
export type CoseHeader = { readonly kid: Uint8Array; readonly fields: MapReader }

const tagSign1 = 0xd2
const algorithmEs256 = -7
// What COSE adds around header and payload, with room to spare.
const overheadBytes = 128
// An array of four, of which the first is a text of ten bytes.
const sigStructureHead = /* @__PURE__ */ concatBytes(
  Uint8Array.of(0x84, 0x6a),
  /* @__PURE__ */ encodeUtf8('Signature1'),
)
const noBytes = Uint8Array.of(0x40)
const noEntries: CborMap = new Map()

/**
 * The parts of a tagged COSE_Sign1 with an empty unprotected map (ST2.1).
 *
 * @throws ProtocolError `cbor-…`, `cose-malformed`, `cose-unprotected-not-empty`.
 */
export function parseCoseSign1(bytes: Uint8Array, limitBytes: number): CoseSign1 {
  if (bytes.length > limitBytes) throw new ProtocolError('cbor-too-large')
  if (bytes[0] !== tagSign1) throw new ProtocolError('cose-malformed')
  const parts = decodeCbor(bytes.subarray(1), limitBytes)
  const [protectedBytes, unprotected, payloadBytes, signature] = fourParts(parts)
  if (
    !(protectedBytes instanceof Uint8Array) ||
    !isCborMap(unprotected) ||
    !(payloadBytes instanceof Uint8Array) ||
    !(signature instanceof Uint8Array)
  ) {
    throw new ProtocolError('cose-malformed')
  }
  if (unprotected.size > 0) throw new ProtocolError('cose-unprotected-not-empty')
  return { protectedBytes, payloadBytes, signature }
}

/**
 * The protected header with alg ES256, this content type, a kid of 32 bytes, and exactly these other keys (ST2.2).
 *
 * @throws ProtocolError `cbor-…`, `cose-algorithm-unsupported`, `cose-header-malformed`.
 */
export function parseCoseHeader(
  protectedBytes: Uint8Array,
  contentType: string,
  otherKeys: readonly number[],
): CoseHeader {
  const header = decodeCbor(protectedBytes, protectedBytes.length)
  if (isCborMap(header) && header.has(1) && header.get(1) !== algorithmEs256) {
    throw new ProtocolError('cose-algorithm-unsupported')
  }
  const fields = openMap(header, [1, 3, 4, ...otherKeys], [], 'cose-header-malformed')
  if (fields.value(3) !== contentType) throw new ProtocolError('cose-header-malformed')
  return { kid: fields.bytes(4, 32, 32), fields }
}

/** Signs a payload under a protected header made of alg, content type, kid and the other entries. */
export function signCoseSign1(
  contentType: string,
  otherEntries: readonly (readonly [number, CborValue])[],
  payloadBytes: Uint8Array,
  signer: Es256Signer,
): Uint8Array {
  const kid = keyId(signer.publicKey)
  return signUnderHeader(encodeCoseHeader(contentType, kid, otherEntries), payloadBytes, signer)
}

/** The bytes of a protected header. */
export function encodeCoseHeader(
  contentType: string,
  kid: Uint8Array,
  otherEntries: readonly (readonly [number, CborValue])[],
): Uint8Array {
  return encodeCbor(
    new Map<number, CborValue>([[1, algorithmEs256], [3, contentType], [4, kid], ...otherEntries]),
  )
}

/** Signs a payload under a protected header that is encoded already. */
export function signUnderHeader(
  protectedBytes: Uint8Array,
  payloadBytes: Uint8Array,
  signer: Es256Signer,
): Uint8Array {
  const signature = signer.sign(encodeSigStructure(protectedBytes, payloadBytes))
  return encodeCoseSign1({ protectedBytes, payloadBytes, signature })
}

/** The tagged COSE_Sign1 of these parts. */
export function encodeCoseSign1(parts: CoseSign1): Uint8Array {
  const { protectedBytes, payloadBytes, signature } = parts
  const expectedBytes = protectedBytes.length + payloadBytes.length + overheadBytes
  const array = [protectedBytes, noEntries, payloadBytes, signature]
  return encodePrefixedCbor(tagSign1, array, expectedBytes)
}

/** The refusal for the signature by this key (ST2.4), or `undefined` when it holds. */
export function judgeCoseSignature(
  parts: CoseSign1,
  publicKey: Uint8Array,
): Promise<ErrorCode | undefined> {
  const message = encodeSigStructure(parts.protectedBytes, parts.payloadBytes)
  return judgeEs256(publicKey, message, parts.signature)
}

/**
 * What is signed: `['Signature1', header, no bytes, payload]` (RFC 9052 §4.4). Written by hand, so that whoever only
 * verifies carries no encoder.
 */
export function encodeSigStructure(
  protectedBytes: Uint8Array,
  payloadBytes: Uint8Array,
): Uint8Array {
  return concatBytes(
    sigStructureHead,
    encodeHead(protectedBytes),
    protectedBytes,
    noBytes,
    encodeHead(payloadBytes),
    payloadBytes,
  )
}

/** kid of a P-256 key given as x ‖ y (ST2.3). */
export function keyId(publicKey: Uint8Array): Uint8Array {
  return sha256(publicKey)
}

/** The head of a byte string (ST1.1). */
function encodeHead({ length }: Uint8Array): Uint8Array {
  if (length < 24) return Uint8Array.of(0x40 | length)
  if (length < 0x100) return Uint8Array.of(0x58, length)
  if (length < 0x10000) return Uint8Array.of(0x59, length >> 8, length)
  return Uint8Array.of(0x5a, length >> 24, length >> 16, length >> 8, length)
}

function fourParts(value: CborValue): readonly CborValue[] {
  if (!isCborArray(value) || value.length !== 4) throw new ProtocolError('cose-malformed')
  return value
}
