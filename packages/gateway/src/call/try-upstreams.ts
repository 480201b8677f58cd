/**
 * Calls upstreams until one answers for good (spec/receipt.md RC4.8). Only calls that were certainly not served are
 * made again, and none of which a byte was returned: everything here happens before the first byte leaves.
 */
import type { Ending } from './ending.ts'
import type { FailedAttempt } from './exchange.ts'
import { forwardRequest } from './forward-request.ts'
import { computeRetryDelayMs, readRetryHint } from './retry-delay.ts'
import {
  closeAttempt,
  renewAttempt,
  startAttempt,
  type Head,
  type Running,
} from './running-exchange.ts'

// Of these an upstream says that it did not serve the call, and that a later one may be served.
const retried = new Set([429, 503, 529])
// Of these another upstream may know better: an account that is refused or empty, a provider that fails.
const passedOver = new Set([401, 402, 403, 429, 500, 502, 503, 504, 529])

/** The head of the answer, or the end of an exchange that has none. */
export async function tryUpstreams(running: Running): Promise<Head | Ending> {
  for (;;) {
    startAttempt(running)
    const outcome = await running.attempt.begun
    if (!canGoOn(running)) return outcome
    const failure = await judgeAttempt(running, outcome)
    if (failure === undefined) return outcome
    const delayMs = nextDelayMs(running, failure)
    const isAgain = delayMs !== undefined
    if (!isAgain && (!failure.isPassedOver || running.remaining.length === 0)) return outcome
    const { attempt, sent, failed } = running
    recordFailure(running, failure.error)
    closeAttempt(running)
    if (!isAgain) fallBack(running)
    renewAttempt(running)
    const interrupted = isAgain ? await wait(running, delayMs) : undefined
    if (interrupted?.kind === 'caller-gone') {
      // Who leaves now was refused by the upstream and pays nothing: the failure is the end of the call.
      Object.assign(running, { attempt, sent, failed })
      return outcome
    }
    if (interrupted !== undefined) return interrupted
  }
}

/** Most calls have one route and one attempt: they end here. */
function canGoOn({ sent, attemptsHere, remaining, hasLeft }: Running): boolean {
  if (hasLeft) return false
  return remaining.length > 0 || attemptsHere < sent.chosen.route.behaviour.attempts
}

/** How an attempt failed; `hintMs` is what the upstream asks to wait. */
type AttemptFailure = {
  readonly error: string
  readonly isRetried: boolean
  readonly isPassedOver: boolean
  readonly hintMs: number | undefined
}

/** `undefined`: this answer or end stands. */
async function judgeAttempt(
  running: Running,
  outcome: Head | Ending,
): Promise<AttemptFailure | undefined> {
  if (outcome.kind === 'upstream-failed') {
    // What was sent may have been served.
    if (outcome.wasSent) return undefined
    return { error: outcome.failure, isRetried: true, isPassedOver: true, hintMs: undefined }
  }
  if (outcome.kind !== 'head' || !passedOver.has(outcome.status)) return undefined
  // What an error says decides; an answer that does not arrive is judged as it is.
  const ending = await running.attempt.ended
  if (ending.kind !== 'upstream-ended' || running.hasLeft) return undefined
  const { status, headers } = outcome
  const hint = readRetryHint(
    { headers, body: running.attempt.collected.bytes() },
    running.gateway.nowMs(),
  )
  return {
    error: `status-${status}`,
    isRetried: retried.has(status) && hint !== 'never',
    isPassedOver: true,
    hintMs: hint === 'never' ? undefined : hint,
  }
}

/** The wait before another attempt at this upstream; `undefined` when there is to be none. */
function nextDelayMs(
  { gateway, sent, attemptsHere }: Running,
  { isRetried, hintMs }: AttemptFailure,
): number | undefined {
  const { attempts, maxDelayMs } = sent.chosen.route.behaviour
  if (!isRetried || attemptsHere >= attempts || (hintMs ?? 0) > maxDelayMs) return undefined
  const random = Buffer.from(gateway.random(4)).readUInt32LE() / 2 ** 32
  return computeRetryDelayMs(attemptsHere, hintMs, maxDelayMs, random)
}

function recordFailure(running: Running, error: string): void {
  const { name } = running.sent.chosen.route.upstream
  const failed: FailedAttempt = { upstream: name, error }
  running.failed = [...running.failed, failed]
  // An account that is refused or empty shows nowhere else while another upstream answers.
  running.gateway.log.warn({ ...failed, receiptId: running.call.idHex }, 'an attempt failed')
}

/** The same request to the next route: with the name that its upstream has for the model. */
function fallBack(running: Running): void {
  const { gateway, call, sent } = running
  const [route, ...remaining] = running.remaining
  if (route === undefined) return
  sent.chosen.route.upstream.rest.failed(gateway.nowMs())
  // What was translated is the same for every route of a translated call.
  const forwarded =
    sent.forwarded.translation === undefined
      ? forwardRequest(call, sent.request, route, sent.signing !== undefined)
      : sent.forwarded
  running.sent = { ...sent, forwarded, chosen: { ...sent.chosen, route } }
  running.remaining = remaining
  running.attemptsHere = 0
}

/** Resolves with an end that comes before the time is over: the caller left, the time of the call, a shutdown. */
async function wait(running: Running, delayMs: number): Promise<Ending | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, delayMs, undefined)
  try {
    return await Promise.race([running.attempt.ended, promise])
  } finally {
    clearTimeout(timer)
  }
}
