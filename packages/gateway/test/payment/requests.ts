/** Requests as the gateway hands them to a payment scheme. */
import { hash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type {
  Admission,
  AdmissionRequest,
  AdmittedPayment,
  Refusal,
} from '../../src/payment/admission.ts'

/** A call with a body of its own text. */
export function createRequest(
  headers: IncomingHttpHeaders,
  overrides: Partial<AdmissionRequest> & { readonly body?: string } = {},
): AdmissionRequest {
  const { body = '{"model":"m"}', ...rest } = overrides
  return {
    receiptId: randomBytes(16),
    method: 'POST',
    path: '/v1/chat/completions',
    bodyDigest: () => hash('sha256', body, 'buffer'),
    headers,
    model: 'm',
    priceAtomic: 10_000n,
    isPricedByUse: false,
    ...rest,
  }
}

/** A directory that is removed when the test ends. */
export function createDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-payment-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

/** The payment of an admission that must have succeeded. */
export function expectAdmitted(admission: Admission): AdmittedPayment {
  if (admission.kind === 'admitted') return admission.payment
  throw new Error(`not admitted: ${admission.kind} ${JSON.stringify(admission)}`)
}

/** The refusal of an admission that must have failed. */
export function expectRefused(admission: Admission): Refusal {
  if (admission.kind === 'refused') return admission.refusal
  throw new Error(`not refused: ${admission.kind}`)
}
