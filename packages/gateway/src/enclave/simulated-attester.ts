/** Attestation without a TEE: a self-made root that says so (spec/statement.md ST5.2). */
import { createSimulatedEvidence } from '@countersign/protocol/attestation/simulated'
import { epochLifetimeMs } from '../keys/epochs.ts'
import { createReceiptKey } from '../keys/receipt-key.ts'
import type { Attester } from './attester.ts'

/** An attester whose root is made now and lost with the process. `measurement` is the build digest. */
export function createSimulatedAttester(measurement: Uint8Array): Attester {
  const root = createReceiptKey()
  const platform = createReceiptKey()
  return {
    kind: 'simulated',
    attest: async (reportData, nowMs) =>
      createSimulatedEvidence({
        root,
        platform,
        notBeforeMs: nowMs,
        notAfterMs: nowMs + epochLifetimeMs,
        reportData,
        measurement,
        timeMs: nowMs,
      }),
  }
}
