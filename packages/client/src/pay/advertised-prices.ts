/**
 * Compares an offer with the price list that the gateway shows to everybody (`GET /v1/models`). The most that a call can
 * cost depends on what its provider may count; the bound here is the caller's own, by spec/metering.md ME8.
 */
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { parseDecimal } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { modelOf, type OutgoingRequest } from '../outgoing-request.ts'
import { readBounded } from '../read-bounded.ts'
import { isJsonArray, isJsonMap } from './base64-json.ts'
import type { Offer } from './payment-required.ts'

/** What the caller knows of its calls. */
export type PriceBounds = {
  /** Most tokens that come back when the request gives no limit; default 131,072. */
  readonly maxOutputTokens?: number
  /** Tokens that go in beside the text of the request: pictures, stored conversations, tools; default 0. */
  readonly moreInputTokens?: number
  /** Uses of everything that is not a token: searches, pictures, seconds; default 16 of each. */
  readonly maxUses?: number
}

/** Judges an offer. @throws ClientError `price-…`. */
export type PriceCheck = (paid: {
  readonly request: OutgoingRequest
  readonly offer: Offer
}) => Promise<void>

type Tier = { readonly aboveInput: number; readonly rates: ReadonlyMap<string, bigint> }
type Price = { readonly perCallAtomic: bigint; readonly tiers: readonly Tier[] }
type PriceList = { readonly readAtMs: number; readonly prices: ReadonlyMap<string, Price> }

const maxListBytes = 8_388_608
const maxAgeMs = 300_000
const timeoutMs = 20_000
const maxLists = 64
const textOverhead = 2048
const defaultOutputTokens = 131_072
const defaultUses = 16
const rateUnit = 1_000_000n
const outputKinds = /^(?:output|reasoning)/
const inputKinds = /^(?:input|cache-)/
const limitMembers = new Set([
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'maxOutputTokens',
])
const googlePath = /^\/v1beta\/models\/([^/:]+):/

/** A check that asks each gateway for its list once in five minutes, and again before it refuses. */
export function createPriceCheck(
  bounds: PriceBounds,
  fetch: (url: string, init: RequestInit) => Promise<Response>,
  now: () => number,
): PriceCheck {
  // Owned here: by origin and wire.
  const lists = new Map<string, PriceList>()

  async function find(request: OutgoingRequest, isFresh: boolean): Promise<PriceList> {
    const { url, headers } = listAddress(request)
    const key = `${url} ${Object.keys(headers).join(' ')}`
    const known = lists.get(key)
    if (known !== undefined && !isFresh && now() - known.readAtMs < maxAgeMs) return known
    const list = { readAtMs: now(), prices: await readList(url, headers, fetch) }
    if (lists.size >= maxLists) lists.clear()
    lists.set(key, list)
    return list
  }

  return async ({ request, offer }) => {
    const model = googlePath.exec(request.url.pathname)?.[1] ?? modelOf(request)
    const judge = ({ prices }: PriceList): ClientError | undefined =>
      judgePrice(offer, prices.get(model), model, request, bounds)
    const list = await find(request, false)
    if (judge(list) === undefined) return
    // A list that is some minutes old may be out of date; the offer is not.
    const refusal = judge(await find(request, true))
    if (refusal !== undefined) throw refusal
  }
}

function judgePrice(
  { amountAtomic }: Offer,
  price: Price | undefined,
  model: string,
  request: OutgoingRequest,
  bounds: PriceBounds,
): ClientError | undefined {
  if (price === undefined) return new ClientError('price-not-advertised', { detail: model })
  const most = boundPrice(price, request, bounds)
  if (amountAtomic <= most) return undefined
  return new ClientError('price-above-sheet', { detail: `${amountAtomic} > ${most} for ${model}` })
}

function boundPrice(price: Price, { body }: OutgoingRequest, bounds: PriceBounds): bigint {
  const input = body.length + textOverhead + (bounds.moreInputTokens ?? 0)
  const output = outputLimit(body, bounds.maxOutputTokens ?? defaultOutputTokens)
  const uses = bounds.maxUses ?? defaultUses
  // Any tier that this much input can reach.
  const tiers = price.tiers.filter(({ aboveInput }, index) => index === 0 || input > aboveInput)
  const kinds = new Set(tiers.flatMap(({ rates }) => [...rates.keys()]))
  const highest = (fits: (kind: string) => boolean): bigint =>
    tiers
      .flatMap(({ rates }) => [...rates].flatMap(([kind, rate]) => (fits(kind) ? [rate] : [])))
      .reduce((a, b) => (a > b ? a : b), 0n)
  let numerator =
    BigInt(input) * highest((kind) => inputKinds.test(kind)) +
    BigInt(output) * highest((kind) => outputKinds.test(kind))
  for (const kind of kinds) {
    if (inputKinds.test(kind) || outputKinds.test(kind)) continue
    numerator += BigInt(uses) * highest((other) => other === kind)
  }
  return price.perCallAtomic + (numerator + rateUnit - 1n) / rateUnit
}

/** The largest limit that the request gives, else this one, times the number of answers; 0 is none. */
function outputLimit(body: Uint8Array, otherwise: number): number {
  let most: number | undefined
  let answers = 1
  let prompts = 1
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 2) return
    for (const [name, member] of Object.entries(value)) {
      if (typeof member === 'number' && Number.isSafeInteger(member) && member > 0) {
        if (limitMembers.has(name)) most = Math.max(most ?? 0, member)
        if (name === 'n' || name === 'candidateCount') answers = Math.max(answers, member)
      }
      if (name === 'prompt' && Array.isArray(member)) prompts = countPrompts(member)
      if (name === 'generationConfig') visit(member, depth + 1)
    }
  }
  try {
    visit(JSON.parse(new TextDecoder().decode(body)), 1)
  } catch {
    // No JSON gives no limit; the gateway will say what is wrong with it.
  }
  return (most ?? otherwise) * answers * prompts
}

/** Several prompts are answered one by one; a list of tokens is one. */
function countPrompts(prompts: readonly unknown[]): number {
  return prompts.every((prompt) => typeof prompt === 'number') ? 1 : prompts.length
}

function listAddress({ url, headers }: OutgoingRequest): {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
} {
  if (url.pathname.startsWith('/v1beta/'))
    return { url: `${url.origin}/v1beta/models`, headers: {} }
  const version = headers.get('anthropic-version')
  return {
    url: `${url.origin}/v1/models`,
    headers: version === null ? {} : { 'anthropic-version': version },
  }
}

async function readList(
  url: string,
  headers: Readonly<Record<string, string>>,
  fetch: (url: string, init: RequestInit) => Promise<Response>,
): Promise<ReadonlyMap<string, Price>> {
  let bytes: Uint8Array | undefined
  try {
    const response = await fetch(url, {
      headers,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    bytes = await readBounded(response, maxListBytes)
    if (response.status !== 200) throw new Error(`status ${response.status}`)
  } catch (cause) {
    throw new ClientError('price-unavailable', { detail: url, cause })
  }
  const json = bytes === undefined ? undefined : decodeJson(bytes)
  const list = isJsonMap(json) ? (json.get('data') ?? json.get('models')) : undefined
  if (!isJsonArray(list)) throw new ClientError('price-unavailable', { detail: `${url}: no list` })
  return new Map(list.flatMap(readEntry))
}

function readEntry(value: JsonValue): readonly (readonly [string, Price])[] {
  if (!isJsonMap(value)) return []
  const id = value.get('id') ?? value.get('name')
  const price = value.get('price')
  if (typeof id !== 'string' || !isJsonMap(price)) return []
  const perCallAtomic = parseDecimal(price.get('amount'), 256n)
  const tiers = readTiers(price.get('perMillion'))
  if (perCallAtomic === undefined || tiers === undefined) return []
  return [[id.replace(/^models\//, ''), { perCallAtomic, tiers }]]
}

/** `undefined` for what cannot be read: the model is then not advertised at all. */
function readTiers(value: JsonValue | undefined): readonly Tier[] | undefined {
  if (value === undefined) return []
  if (!isJsonArray(value)) return undefined
  const tiers = value.map(readTier)
  return tiers.every((tier) => tier !== undefined) ? tiers : undefined
}

function readTier(value: JsonValue): Tier | undefined {
  const aboveInput = isJsonMap(value) ? value.get('aboveInput') : undefined
  const rates = isJsonMap(value) ? value.get('rates') : undefined
  if (typeof aboveInput !== 'number' || !isJsonMap(rates)) return undefined
  const read = readRates(rates)
  return read === undefined ? undefined : { aboveInput, rates: read }
}

function readRates(rates: JsonMap): ReadonlyMap<string, bigint> | undefined {
  const read = new Map<string, bigint>()
  for (const [kind, text] of rates) {
    const rate = parseDecimal(text, 256n)
    if (rate === undefined) return undefined
    read.set(kind, rate)
  }
  return read
}
