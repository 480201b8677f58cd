/** What a call is to cost: authorised before it is made, settled on what it used (spec/metering.md ME6, ME8). */
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { boundUsage, computeMaximum, type Authorisation } from '../metering/bound-price.ts'
import { measureForm, measureRequest, type RequestMeasure } from '../metering/measure-request.ts'
import {
  chargeUsage,
  meterUsage,
  needsEstimate,
  type MeteredUsage,
  type UsageEstimate,
} from '../metering/settle-usage.ts'
import { toMeteringClaim } from '../metering/usage-claims.ts'
import type { CallResult } from '../payment/admission.ts'
import type { CallRequest } from './call-request.ts'
import { refuse } from './call-refused.ts'
import type { ChosenRoute } from './choose-route.ts'
import type { ExchangeRecord } from './exchange.ts'
import type { Gateway } from './gateway.ts'

/** Of a longer answer whose provider counted nothing, only the length is known. */
export const maxEstimatedBytes = 8_388_608

/** The most that a call costs, and what that rests on when the price depends on its use. */
export type Bill = {
  readonly priceAtomic: bigint
  readonly authorisation: Authorisation | undefined
  /** The prices that were authorised, as the receipt states them. */
  readonly rates: string | undefined
}

/** The end of a bill. `claim` is absent where a call costs the same whatever it used. */
export type SettledBill = {
  readonly usedAtomic: bigint
  readonly claim: CborValue | undefined
  /** How the use is known; `undefined` as `claim`. */
  readonly source: MeteredUsage['source'] | undefined
}

/** A request as the upstream gets it. */
type BilledRequest = { readonly body: Buffer; readonly translation?: object }
type SentBill = {
  readonly request: CallRequest
  readonly forwarded: BilledRequest
  readonly chosen: Pick<ChosenRoute, 'meter'>
}

/**
 * Bounds the price of a request.
 *
 * @throws CallRefused `request-malformed`, `service-not-priced`.
 */
export function createBill(
  { route, meter }: ChosenRoute,
  request: CallRequest,
  forwarded: BilledRequest,
): Bill {
  if (route.metering === undefined || meter === undefined) {
    return { priceAtomic: route.priceAtomic, authorisation: undefined, rates: undefined }
  }
  const { sheet, limits, rates } = route.metering
  const isForm = request.parts.length > 0
  const measure = isForm
    ? measureFormCall(request)
    : measureRequest(meter, billedBody(request, forwarded))
  if (measure === 'request-unreadable') {
    throw refuse('request-malformed', 'A limit in the body is in a form that cannot be priced.')
  }
  if (measure === 'service-not-priced') throw refuse('service-not-priced')
  const bound = boundUsage(measure, limits)
  const maximumAtomic = computeMaximum(sheet, bound, limits)
  const authorisation = { sheet, limits, bound, maximumAtomic }
  return { priceAtomic: maximumAtomic, authorisation, rates }
}

/** What the provider reads. Where only a name was replaced, the caller's own bytes: callers can work out the bound. */
function billedBody(
  { body }: Pick<CallRequest, 'body'>,
  { translation, body: forwarded }: BilledRequest,
): Buffer {
  return translation === undefined ? body : forwarded
}

/** Meters a call that is over. Only what no provider counted is estimated, in a worker. */
export function settleBill(
  gateway: Gateway,
  { priceAtomic, authorisation }: Bill,
  sent: SentBill,
  exchange: ExchangeRecord,
): SettledBill | Promise<SettledBill> {
  return authorisation === undefined || !isUsed(exchange, authorisation)
    ? { usedAtomic: priceAtomic, claim: undefined, source: undefined }
    : settleByUse(gateway, authorisation, sent, exchange)
}

async function settleByUse(
  gateway: Gateway,
  authorisation: Authorisation,
  { request, forwarded, chosen }: SentBill,
  exchange: ExchangeRecord,
): Promise<SettledBill> {
  const { observation } = exchange
  const isSound = chosen.meter === 'openai-speech' && exchange.answer.kind !== 'streamed'
  const estimate = needsEstimate(authorisation, observation)
    ? await estimateUsage(gateway, authorisation, billedBody(request, forwarded), exchange, isSound)
    : undefined
  const metered = meterUsage(authorisation, observation, estimate)
  const charge = chargeUsage(authorisation, metered)
  return {
    usedAtomic: charge.amountAtomic,
    claim: toMeteringClaim(authorisation, observation, metered, charge),
    source: metered.source,
  }
}

/** Nobody wrote more tokens than bytes came: that is what is left to say when nothing better can be had in time. */
async function estimateUsage(
  { estimator }: Gateway,
  { limits, bound }: Authorisation,
  body: Buffer,
  { observedBody, upstreamBody, returned = upstreamBody, answer }: ExchangeRecord,
  isSound: boolean,
): Promise<UsageEstimate> {
  const isStream = answer.kind === 'streamed'
  const estimate =
    observedBody === undefined
      ? undefined
      : await estimator.estimate({
          request: body,
          answer: isSound ? noBytes : observedBody,
          isStream,
          limits,
        })
  // What we add to an answer is not the provider's to be paid for.
  const output = Math.min(returned.bytes, upstreamBody.bytes)
  if (!isSound) return estimate ?? { input: bound.input, output }
  // There is no text to count in it.
  return { input: estimate?.input ?? bound.input, output, outputKind: 'output-audio' }
}

const noBytes = Buffer.alloc(0)

/** What becomes of the payment: of a stream that its upstream cut, a part has left. */
export function judgeUse(
  exchange: ExchangeRecord,
  { authorisation }: Pick<Bill, 'authorisation'>,
): CallResult {
  if (isUsed(exchange, authorisation)) return 'used'
  return exchange.answer.kind === 'streamed' ? 'cut' : 'unused'
}

/**
 * Who leaves pays; who gets an error of the upstream does not. Callers can ask for answers that are larger than they may
 * be: where use is metered, what was returned of one is not for nothing.
 */
function isUsed(
  { state, isOutgrown, answer }: ExchangeRecord,
  authorisation: Authorisation | undefined,
): boolean {
  if (isOutgrown && authorisation !== undefined && answer.kind === 'streamed') return true
  return state === 'complete' || state === 'aborted-by-client'
}

/** A form asks for one answer, unless its field `n` says otherwise. */
function measureFormCall({ body, parts }: CallRequest): RequestMeasure | 'request-unreadable' {
  const counts = parts.filter(({ name }) => name === 'n')
  const [field] = counts
  const text = field === undefined ? '1' : body.toString('latin1', field.span.start, field.span.end)
  if (counts.length > 1 || !/^[1-9][0-9]{0,3}$/.test(text)) return 'request-unreadable'
  const files = parts.filter(({ isFile }) => isFile).length
  return measureForm(body, Number(text), files)
}
