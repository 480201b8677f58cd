/** Names of calls that nobody pays for, in memory (spec/payment.md PA4.6). */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { hashRequest } from '@countersign/protocol/payment/request-nonce'
import type { GatewayErrorCode } from '../errors.ts'
import type { Admission, AdmissionRequest, AdmittedPayment } from './admission.ts'
import { readIdempotencyKey } from './idempotency-key.ts'
import { answerNamed, judgeName } from './judge-name.ts'

/** Owner of the names. */
export type FreeNames = { admit(request: AdmissionRequest): Admission }

/** A call of that name. `endedMs` is `undefined` while it runs. */
type NamedCall = {
  readonly request: Uint8Array
  readonly receiptId: string
  endedMs: number | undefined
}

// As long as answers are kept.
const rememberMs = 600_000
const maxNames = 20_000
const maxSteps = 16
// Nothing else tells callers apart here: the name is their secret.
const leastCharacters = 20
const leastDistinct = 8

/** No names. A call that fails gives its name back. */
export function createFreeNames(payment: AdmittedPayment, clock: () => number): FreeNames {
  const calls = new Map<string, NamedCall>()

  function admitNew(name: string, request: Uint8Array, receiptId: string): Admission {
    const call: NamedCall = { request, receiptId, endedMs: undefined }
    calls.set(name, call)
    return {
      kind: 'admitted',
      payment: {
        ...payment,
        complete: (use, usedAtomic) => {
          if (use === 'unused') calls.delete(name)
          else {
            call.endedMs = clock()
            // The latest stand last: the oldest go first.
            calls.delete(name)
            calls.set(name, call)
          }
          return payment.complete(use, usedAtomic)
        },
      },
    }
  }

  return {
    admit(admission) {
      const key = readIdempotencyKey(admission.headers)
      if (key.kind !== 'given') return refused('request-malformed', malformed)
      if (isGuessable(key.key)) return refused('idempotency-key-guessable')
      const nowMs = clock()
      forget(calls, nowMs)
      const name = `${digestCredentials(admission.headers)}\n${key.key}`
      const request = hashRequest(admission.method, admission.path, admission.bodyDigest())
      const earlier = calls.get(name)
      const isOver = earlier?.endedMs !== undefined && earlier.endedMs + rememberMs <= nowMs
      if (earlier === undefined || isOver) {
        return admitNew(name, request, toHex(admission.receiptId))
      }
      const state = earlier.endedMs === undefined ? 'running' : 'used'
      const call = { callId: earlier.receiptId, state } as const
      return answerNamed(judgeName(call, equalBytes(earlier.request, request)))
    },
  }
}

const malformed = 'Idempotency-Key takes 1 to 255 printable ASCII characters.'

/**
 * A few at a time, oldest first: those whose time is over, and of too many those that have ended. Those that run go to
 * the end, or a few long ones would keep all others in memory.
 */
function forget(calls: Map<string, NamedCall>, nowMs: number): void {
  let steps = 0
  for (const [name, call] of calls) {
    const { endedMs } = call
    if (++steps > maxSteps) return
    if (endedMs !== undefined && endedMs + rememberMs > nowMs && calls.size < maxNames) return
    calls.delete(name)
    if (endedMs === undefined) calls.set(name, call)
  }
}

function isGuessable(key: string): boolean {
  return key.length < leastCharacters || new Set(key).size < leastDistinct
}

/** What a caller sent as its credential proves nothing here; but callers with different ones are certainly not one. */
function digestCredentials(headers: IncomingHttpHeaders): string {
  const hash = createHash('sha256')
  for (const name of ['authorization', 'x-api-key', 'x-goog-api-key'] as const) {
    hash.update(`${String(headers[name] ?? '')}\n`)
  }
  return hash.digest('base64')
}

function refused(code: GatewayErrorCode, detail = ''): Admission {
  return { kind: 'refused', refusal: { code, detail, headers: {} } }
}
