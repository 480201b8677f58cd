/** Evidence of an Azure confidential machine, as bytes: nothing here is verified (spec/attestation.md AT18). */
import { isCborMap, encodeCbor, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import type { PublicKey } from '../../crypto/verify-signature.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { parseKeySet } from '../token/key-set.ts'
import { readTpmMap } from '../tpm/tpm-map.ts'
import { maxAzureReportBytes, maxRawBytes, maxRuntimeBytes, maxTpmBytes } from '../limits.ts'

/** The parts. */
export type AzureParts = {
  /** The hardware's report (SEV-SNP) or quote (TDX). */
  readonly report: Uint8Array
  /** What the paravisor states, and the hardware's report data is the hash of: JSON. */
  readonly runtimeData: Uint8Array
  /** The quote of the TPM that the paravisor makes, by AT15.1. */
  readonly quote: Uint8Array
}

/** What the paravisor states. */
export type RuntimeData = {
  /** The attestation key of its TPM. */
  readonly ak: PublicKey
  /** Settings that deviate from the safest. */
  readonly settings: readonly string[]
}

const akName = 'HCLAkPub'

/** The bytes of evidence. */
export function encodeAzureEvidence({ report, runtimeData, quote }: AzureParts): Uint8Array {
  const fields: readonly (readonly [number, CborValue])[] = [
    [1, 1],
    [2, report],
    [3, runtimeData],
    [4, quote],
  ]
  return encodeCbor(new Map(fields))
}

/**
 * Takes evidence apart.
 *
 * @throws EvidenceError `tpm-malformed`.
 */
export function parseAzureEvidence(bytes: Uint8Array): AzureParts {
  return readTpmMap(bytes, maxRawBytes, [2, 3, 4], (fields) => ({
    report: fields.bytes(2, 1, maxAzureReportBytes),
    runtimeData: fields.bytes(3, 1, maxRuntimeBytes),
    quote: fields.bytes(4, 1, maxTpmBytes),
  }))
}

/**
 * Reads what the paravisor states.
 *
 * @throws EvidenceError `token-keys-malformed`, `azure-runtime-data`.
 */
export function parseRuntimeData(bytes: Uint8Array): RuntimeData {
  const json = decodeJson(bytes)
  refuseUnless(isCborMap(json), 'azure-runtime-data')
  const { publicKey } = parseKeySet(bytes).get(akName) ?? refuse('azure-runtime-data')
  const configuration = json.get('vm-configuration')
  refuseUnless(isCborMap(configuration), 'azure-runtime-data')
  const settings: string[] = []
  if (configuration.get('console-enabled') !== false) settings.push('console-enabled')
  if (configuration.get('secure-boot') !== true) settings.push('secure-boot-off')
  return { ak: publicKey, settings }
}
