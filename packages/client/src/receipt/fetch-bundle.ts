/** Fetches the evidence bundle of a call from the gateway that answered it. */
import { maxBundleBytes } from '@countersign/protocol/verify/bundle'
import { ClientError } from '../errors.ts'
import type { Settings } from '../fetch-options.ts'
import { readBounded } from '../read-bounded.ts'

/** Where a receipt is, as the headers of the answer say. */
export type ReceiptLocation = {
  readonly origin: string
  /** 32 lower-case hex characters. */
  readonly id: string
  readonly token: string
}

const waitSeconds = 10
const attempts = 4
const attemptTimeoutMs = 20_000
const retryDelayMs = 500
// A receipt is stored a moment after its answer ended: 404 may pass.
const notYet = new Set([202, 404, 429])
const idForm = /^[0-9a-f]{32}$/
const tokenForm = /^[A-Za-z0-9_-]{43}$/

/** The receipt that an answer names, or `undefined` when it names none. */
export function locateReceipt(origin: string, headers: Headers): ReceiptLocation | undefined {
  const id = headers.get('x-receipt-id') ?? ''
  const token = headers.get('x-receipt-token') ?? ''
  return idForm.test(id) && tokenForm.test(token) ? { origin, id, token } : undefined
}

/**
 * The bytes of the bundle with all claims disclosed. Waits for the end of the call.
 *
 * @throws ClientError `receipt-unavailable`, `receipt-too-large`.
 */
export async function fetchBundle(
  location: ReceiptLocation,
  settings: Settings,
): Promise<Uint8Array> {
  let cause: unknown
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      const bundle = await fetchOnce(location, settings)
      if (bundle !== 'not-yet') return bundle
    } catch (error) {
      if (error instanceof ClientError) throw error
      cause = error
    }
    if (attempt < attempts) await settings.delay(retryDelayMs)
  }
  throw new ClientError('receipt-unavailable', { detail: location.id, cause })
}

async function fetchOnce(
  { origin, id, token }: ReceiptLocation,
  { fetch }: Settings,
): Promise<Uint8Array | 'not-yet'> {
  const response = await fetch(`${origin}/v1/receipts/${id}?wait=${waitSeconds}`, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(attemptTimeoutMs),
  })
  if (response.status === 200) {
    const bundle = await readBounded(response, maxBundleBytes)
    if (bundle === undefined) throw new ClientError('receipt-too-large')
    return bundle
  }
  await response.body?.cancel()
  if (notYet.has(response.status) || response.status >= 500) return 'not-yet'
  throw new ClientError('receipt-unavailable', { detail: `${id}, status ${response.status}` })
}
