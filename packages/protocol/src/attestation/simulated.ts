/** Simulated evidence: a real chain of signatures under a self-made root. It proves no hardware (ST5.2–ST5.4). */
import { equalBytes } from '../bytes/byte-string.ts'
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { encodeCbor } from '../bytes/cbor-encode.ts'
import { openMap } from '../bytes/map-reader.ts'
import type { Es256Signer } from '../crypto/es256.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import {
  judgeCoseSignature,
  keyId,
  parseCoseHeader,
  parseCoseSign1,
  signCoseSign1,
  type CoseSign1,
} from '../receipt/cose.ts'

/** What a quote says, whoever made it. */
export type Quote = {
  /** SHA-256 of the root key: what a policy pins. */
  readonly rootDigest: Uint8Array
  readonly reportData: Uint8Array
  readonly measurement: Uint8Array
}

/** What goes into simulated evidence. Times are milliseconds. */
export type SimulatedQuoteInput = {
  readonly root: Es256Signer
  readonly platform: Es256Signer
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly reportData: Uint8Array
  readonly measurement: Uint8Array
  readonly timeMs: number
}

const maxEvidenceBytes = 4096
const endorsementType = 'application/countersign-simulated-endorsement+cbor'
const quoteType = 'application/countersign-simulated-quote+cbor'
const malformed: ErrorCode = 'evidence-malformed'

/** Makes simulated evidence (ST5.3). */
export function createSimulatedEvidence(input: SimulatedQuoteInput): Uint8Array {
  const endorsement = encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, 1],
      [2, input.platform.publicKey],
      [3, input.notBeforeMs],
      [4, input.notAfterMs],
    ]),
  )
  const quote = encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, 1],
      [2, input.reportData],
      [3, input.measurement],
      [4, input.timeMs],
    ]),
  )
  return encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, 1],
      [2, input.root.publicKey],
      [3, signCoseSign1(endorsementType, [], endorsement, input.root)],
      [4, signCoseSign1(quoteType, [], quote, input.platform)],
    ]),
  )
}

/**
 * Checks form, chain and dates, and gives what the quote says.
 *
 * @throws ProtocolError `evidence-malformed`, `evidence-chain-invalid`, `evidence-expired`.
 */
export async function appraiseSimulatedEvidence(data: Uint8Array): Promise<Quote> {
  const evidence = asMalformed(() => parseEvidence(data))
  await checkSignature(evidence.endorsement, evidence.rootKey)
  await checkSignature(evidence.quote, evidence.platformKey)
  const { timeMs, notBeforeMs, notAfterMs, reportData, measurement } = evidence
  if (timeMs < notBeforeMs || timeMs > notAfterMs) throw new ProtocolError('evidence-expired')
  return { rootDigest: keyId(evidence.rootKey), reportData, measurement }
}

type Signed = { readonly cose: CoseSign1; readonly kid: Uint8Array }

type SimulatedEvidence = {
  readonly rootKey: Uint8Array
  readonly endorsement: Signed
  readonly platformKey: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly quote: Signed
  readonly reportData: Uint8Array
  readonly measurement: Uint8Array
  readonly timeMs: number
}

function parseEvidence(data: Uint8Array): SimulatedEvidence {
  const fields = openMap(decodeCbor(data, maxEvidenceBytes), [1, 2, 3, 4], [], malformed)
  fields.integer(1, 1, 1)
  const endorsement = parseSigned(fields.bytes(3, 0, maxEvidenceBytes), endorsementType)
  const quote = parseSigned(fields.bytes(4, 0, maxEvidenceBytes), quoteType)
  const endorsed = openPayload(endorsement)
  const quoted = openPayload(quote)
  return {
    rootKey: fields.bytes(2, 64, 64),
    endorsement,
    platformKey: endorsed.bytes(2, 64, 64),
    notBeforeMs: endorsed.integer(3),
    notAfterMs: endorsed.integer(4),
    quote,
    reportData: quoted.bytes(2, 64, 64),
    measurement: quoted.bytes(3, 32, 32),
    timeMs: quoted.integer(4),
  }
}

function parseSigned(bytes: Uint8Array, contentType: string): Signed {
  const cose = parseCoseSign1(bytes, maxEvidenceBytes)
  return { cose, kid: parseCoseHeader(cose.protectedBytes, contentType, []).kid }
}

function openPayload({ cose }: Signed): ReturnType<typeof openMap> {
  const fields = openMap(
    decodeCbor(cose.payloadBytes, maxEvidenceBytes),
    [1, 2, 3, 4],
    [],
    malformed,
  )
  fields.integer(1, 1, 1)
  return fields
}

async function checkSignature({ cose, kid }: Signed, key: Uint8Array): Promise<void> {
  const refused = await judgeCoseSignature(cose, key)
  if (refused !== undefined || !equalBytes(kid, keyId(key))) {
    throw new ProtocolError('evidence-chain-invalid')
  }
}

function asMalformed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new ProtocolError(malformed, { cause })
  }
}
