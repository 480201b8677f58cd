/** Finds where a call goes, and checks what of it lies with others. */
import { findMeterWire } from '../metering/meter-wire.ts'
import type { MeterWire } from '../metering/observe-usage.ts'
import { findOwn } from '../references/check-references.ts'
import type { Adapter } from '../translation/adapters.ts'
import type { Route } from '../upstream/upstreams.ts'
import type { CallRequest } from './call-request.ts'
import { putRestingLast } from '../upstream/upstream-rest.ts'
import { refuse } from './call-refused.ts'
import { drawRoutes } from './draw-routes.ts'
import type { Gateway } from './gateway.ts'
import type { Call } from './open-call.ts'

/** Where a call goes, and how its answer is counted; `undefined` for calls that no provider bills. */
export type ChosenRoute = {
  readonly route: Route
  /** Routes of the same model, in the order in which they are tried when this one fails. */
  readonly others: readonly Route[]
  /** The model has several routes. */
  readonly isChoice: boolean
  readonly meter: MeterWire | undefined
  /** A response that this caller made: nothing is paid for it again. */
  readonly isOwn: boolean
  /** What stands between the caller's wire and the provider's, where they differ. */
  readonly adapter?: Adapter
}

/**
 * Chooses the upstream.
 *
 * @throws CallRefused `model-not-found`, `reference-not-found`.
 */
export function chooseRoute(
  gateway: Gateway,
  call: Call,
  request: CallRequest,
): ChosenRoute | Promise<ChosenRoute> {
  if (request.route.model === 'stored') return routeToStored(gateway, call, request.model)
  const { upstreams } = gateway
  const route = upstreams.find(request.model, request.route.dialect)
  if (route === undefined) {
    const translated = upstreams.findTranslated(request.model, request.route.wire)
    if (translated !== undefined) return toTranslated(gateway, translated)
    const dialect = upstreams.dialectOf(request.model)
    throw refuse('model-not-found', dialect === undefined ? '' : otherWire[dialect])
  }
  const meter = findMeterWire(route.upstream.kind, call.path)
  if (route.others.length === 0) return { ...onlyRoute, route, meter, isOwn: false }
  const [first = route, ...others] = orderRoutes(gateway, route, request)
  return { route: first, others, isChoice: true, meter, isOwn: false }
}

/** The request is translated once, for one name of the model: only routes with that name take it. */
function toTranslated(
  gateway: Gateway,
  { route, adapter }: { readonly route: Route; readonly adapter: Adapter },
): ChosenRoute {
  const named = route.others.filter(({ upstreamModel }) => upstreamModel === route.upstreamModel)
  const [first = route, ...others] = drawAwake(gateway, [route, ...named])
  const isChoice = named.length > 0
  return { route: first, others, isChoice, meter: adapter.meter, isOwn: false, adapter }
}

const onlyRoute = { others: [], isChoice: false } as const

/** What a request refers to is at one upstream: there is no other choice then. */
function orderRoutes(
  gateway: Gateway,
  route: Route,
  { references }: CallRequest,
): readonly Route[] {
  const routes = [route, ...route.others]
  if (references.length === 0) return drawAwake(gateway, routes)
  // All of them must be there, or the call is refused before it is sent (requireOwn).
  const owner = gateway.references.get(references[0] ?? '')?.upstream
  return routes.filter(({ upstream }) => upstream.name === owner).slice(0, 1)
}

/** By lot; what failed a moment ago comes last. */
function drawAwake({ random, nowMs }: Gateway, routes: readonly Route[]): readonly Route[] {
  return putRestingLast(drawRoutes(routes, random), nowMs())
}

const otherWire = {
  openai: 'This model is served on the paths of OpenAI, such as /v1/chat/completions.',
  anthropic: 'This model is served at /v1/messages.',
  google: 'This model is served at /v1beta/models/<model>:generateContent.',
} as const

/** A stored response is where it was made. */
async function routeToStored(
  gateway: Gateway,
  { request }: Call,
  id: string,
): Promise<ChosenRoute> {
  const { headers } = request
  const owner = await gateway.payment.identify(headers)
  const { upstream: name, model } = findOwn(gateway.references, id, { owner, headers })
  const upstream = gateway.upstreams.findUpstream(name)
  if (upstream === undefined) throw refuse('reference-not-found')
  const { behaviour } = upstream
  const unpriced = { priceAtomic: 0n, metering: undefined, addUsage: false }
  const common = { ...unpriced, label: 'stored', weight: 1, others: [], isTranslated: false }
  const route = { upstream, model, upstreamModel: model, behaviour, ...common }
  return { ...onlyRoute, route, meter: undefined, isOwn: true }
}
