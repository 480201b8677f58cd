/** Attestation without a TEE: a self-made root that says so (spec/statement.md ST5.2). */
import { createSimulatedEvidence } from '@countersign/protocol/attestation/simulated'
import { createReceiptKey } from './receipt-key.ts'
import { epochLifetimeMs, type Attester } from './epochs.ts'

/** An attester whose root is made now and lost with the process. `measurement` is the build digest. */
export function createSimulatedAttester(measurement: Uint8Array): Attester {
  const root = createReceiptKey()
  const platform = createReceiptKey()
  return {
    kind: 'simulated',
    attest: (reportData, nowMs) =>
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
