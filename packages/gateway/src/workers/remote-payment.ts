/** A worker's side of payments: every decision is the primary's. */
import type { IncomingHttpHeaders } from 'node:http'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { PayerLimits } from '../limits/payer-limits.ts'
import type {
  Admission,
  AdmissionRequest,
  AdmittedPayment,
  PaymentScheme,
} from '../payment/admission.ts'
import { freePayment } from '../payment/none.ts'
import type { Pipe } from './pipe.ts'
import type { AdmissionAnswer, PaymentHeaders, PrimaryQuestions } from './questions.ts'

type PrimaryPipe = Pipe<PrimaryQuestions>

const freely = { kind: 'admitted', payment: freePayment } as const

/** The scheme, and the limits that belong to it. `isFree`: nobody pays, and only calls with a name are asked about. */
export function createRemotePayment(
  pipe: PrimaryPipe,
  isFree: boolean,
): { readonly scheme: PaymentScheme; readonly payerLimits: PayerLimits } {
  // Owned here: calls that the primary was asked about and that are not over.
  const asked = new Set<Uint8Array>()
  return {
    scheme: {
      admit: async (request) => {
        if (isFree && request.headers['idempotency-key'] === undefined) return freely
        asked.add(request.receiptId)
        // The primary gives its place back with its charge, and with a refusal.
        return await admit(pipe, request, () => asked.delete(request.receiptId))
      },
      identify: (headers) => (isFree ? null : pipe.ask('identify', pickHeaders(headers))),
      close: () => Promise.resolve(),
    },
    payerLimits: {
      // The primary enters, while it admits.
      enter: () => undefined,
      leave: (call) => {
        if (asked.delete(call)) pipe.tell('leave', toHex(call))
      },
    },
  }
}

async function admit(
  pipe: PrimaryPipe,
  request: AdmissionRequest,
  hasLeft: () => void,
): Promise<Admission> {
  const { receiptId, method, path, bodyDigest, headers, model, priceAtomic } = request
  const { isPricedByUse, isStream = false } = request
  const answer = await pipe.ask('admit', {
    receiptId,
    method,
    path,
    bodyDigest: bodyDigest(),
    headers: pickHeaders(headers),
    model,
    priceAtomic,
    isPricedByUse,
    isStream,
    callerNetwork: request.caller?.() ?? '',
  })
  if (answer.kind === 'refused') hasLeft()
  if (answer.kind !== 'admitted') return answer
  return { kind: 'admitted', payment: createAdmitted(pipe, toHex(receiptId), answer, hasLeft) }
}

function createAdmitted(
  pipe: PrimaryPipe,
  callId: string,
  { payer, isMetered, releases, fixedAtomic }: AdmissionAnswer & { readonly kind: 'admitted' },
  hasLeft: () => void,
): AdmittedPayment {
  // Owned by `complete`.
  let headers: Readonly<Record<string, string>> = {}
  return {
    payer,
    ...(fixedAtomic === undefined ? {} : { fixedAtomic }),
    release: (form = 'whole') => {
      const isFree = releases === 'free' || (releases === 'free-whole' && form === 'whole')
      return isFree ? freePayment.release() : pipe.ask('release', { callId, form })
    },
    complete: async (result, usedAtomic) => {
      const end = await pipe.ask('complete', { callId, result, usedAtomic })
      hasLeft()
      headers = end.headers
      return end.charge
    },
    metered: isMetered
      ? {
          headers: () => headers,
          progress: (provenAtomic) => {
            pipe.tell('progress', { callId, provenAtomic })
          },
          receiptStored: () => {
            pipe.tell('receiptStored', callId)
          },
        }
      : null,
  }
}

function pickHeaders(headers: IncomingHttpHeaders): PaymentHeaders {
  return {
    'payment-signature': headers['payment-signature'],
    authorization: headers.authorization,
    'x-api-key': headers['x-api-key'],
    'x-goog-api-key': headers['x-goog-api-key'],
    'idempotency-key': headers['idempotency-key'],
  }
}
