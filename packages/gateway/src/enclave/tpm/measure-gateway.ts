/** Measures the gateway into a PCR before any key is made (spec/attestation.md). */
import {
  countMeasured,
  toExtension,
  type MeasuredLog,
} from '@countersign/protocol/attestation/tpm/measured-log'
import { AttestationError } from '../attestation-error.ts'
import { extendPcr, readPcrs } from './tpm-client.ts'
import type { TpmTransport } from './tpm-transport.ts'

/**
 * Extends the PCR with what it has not taken yet. A second start of the same build and configuration measures nothing,
 * and a start that was cut off between two events is completed: in both cases the PCR ends at the same value.
 *
 * @throws AttestationError `measurement-conflict` when the PCR holds anything else: only a new start of the machine
 *   clears it.
 */
export async function measureGateway(tpm: TpmTransport, log: MeasuredLog): Promise<void> {
  const done = countMeasured(log.events, await readOne(tpm, log.pcr))
  if (done === undefined) throw conflict(log)
  for (const event of log.events.slice(done)) await extendPcr(tpm, log.pcr, toExtension(event))
  // Somebody else may have extended the PCR in between: the quote would tell, and so does this, at once.
  const reached = countMeasured(log.events, await readOne(tpm, log.pcr))
  if (reached !== log.events.length) throw conflict(log)
}

async function readOne(tpm: TpmTransport, pcr: number): Promise<Uint8Array> {
  const [value = Buffer.alloc(0)] = await readPcrs(tpm, [pcr])
  return value
}

function conflict({ pcr }: MeasuredLog): AttestationError {
  return new AttestationError('measurement-conflict', `PCR ${pcr}`)
}
