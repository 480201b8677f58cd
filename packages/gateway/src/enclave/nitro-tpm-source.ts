/**
 * Evidence of AWS NitroTPM (spec/attestation.md AT9.10): a request is written to an NV index, a command of the vendor
 * has the hypervisor put the answer in its place.
 */
import { randomBytes } from 'node:crypto'
import { parseNitroDocument } from '@countersign/protocol/attestation/nitro/document'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'
import { readNsmAnswer } from './nsm-answer.ts'
import { asMalformed } from './tpm/tpm-command.ts'
import {
  defineNvArea,
  readNvArea,
  runNsmRequest,
  undefineNv,
  writeNvArea,
  type NvArea,
} from './tpm/tpm-nv.ts'
import { withTpm } from './tpm/tpm-session.ts'
import type { TpmAddress, TpmTransport } from './tpm/tpm-transport.ts'

/** Which TPM, and the NV index that the exchange may use. */
export type NitroTpmOptions = {
  readonly address: TpmAddress
  readonly nvIndex: number
  readonly timeoutMs: number
}

// A document without user data has almost 5 KiB; AWS's own tool takes as much.
const bufferBytes = 8192
const passwordBytes = 64

/** The source behind a TPM of AWS. Revocation lists are the operator's to add. */
export function createNitroTpmSource({
  address,
  nvIndex,
  timeoutMs,
}: NitroTpmOptions): EvidenceSource {
  // Owned by attest: settles when the last exchange so far has settled; never rejects. There is one index.
  let tail: Promise<unknown> = Promise.resolve()
  return {
    kind: 'aws-nitrotpm',
    attest: async (reportData) => {
      const asked = tail.then(() =>
        withTpm(address, timeoutMs, (tpm) => askForDocument(tpm, nvIndex, reportData)),
      )
      tail = asked.catch(() => undefined)
      return { raw: refuseForeign(await asked, reportData), collateral: new Map() }
    },
  }
}

async function askForDocument(
  tpm: TpmTransport,
  index: number,
  reportData: Uint8Array,
): Promise<Uint8Array> {
  const area: NvArea = { index, sizeBytes: bufferBytes, password: randomBytes(passwordBytes) }
  await defineNvArea(tpm, area)
  // A crash before the removal leaves the index with a password that nobody knows: the next exchange removes it.
  let answer: Uint8Array
  try {
    await writeNvArea(tpm, area, encodeRequest(reportData))
    await runNsmRequest(tpm, area)
    answer = await readNvArea(tpm, area)
  } catch (error) {
    // What then fails too is not told: the first error says what happened.
    await undefineNv(tpm, index).catch(() => undefined)
    throw error
  }
  await undefineNv(tpm, index)
  return readNsmAnswer(answer)
}

/** The security module's request for a document, as its public interface writes it. */
function encodeRequest(reportData: Uint8Array): Uint8Array {
  const members = new Map<string, CborValue>([
    ['nonce', null],
    ['user_data', reportData],
    ['public_key', null],
  ])
  return encodeCbor(new Map([['Attestation', members]]))
}

/** A document for other report data is somebody else's: whoever shares the machine could have written the request. */
function refuseForeign(raw: Uint8Array, reportData: Uint8Array): Uint8Array {
  const { userData } = asMalformed('document', () => parseNitroDocument(raw, 'aws-nitrotpm'))
  if (userData === null || !equalBytes(userData, reportData)) {
    throw new AttestationError('attester-malformed', 'document for other report data')
  }
  return raw
}
