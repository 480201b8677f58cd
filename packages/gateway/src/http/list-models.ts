/** The models that callers of a wire can name, with prices, in the form of that wire. */
import type { IncomingMessage } from 'node:http'
import type { Gateway } from '../call/gateway.ts'
import { createCallSheet, isMetered, type PriceSheet } from '../metering/price-sheet.ts'
import { usageKinds } from '@countersign/protocol/receipt/usage-kinds'
import type { ListedModel, Route } from '../upstream/upstreams.ts'
import type { Dialect } from './wire-routes.ts'

/** The list that this request asks for: its path and its version header say on which wire. */
export function listModels(gateway: Gateway, request: IncomingMessage, path: string): unknown {
  const dialect = dialectOfModels(request, path)
  const models = gateway.upstreams.models.filter(
    (model) => model.dialect === dialect || model.translatedDialect === dialect,
  )
  const described = models.map((model) => describeModel(gateway, dialect, model))
  switch (dialect) {
    case 'openai':
      return { object: 'list', data: described }
    case 'anthropic':
      return {
        data: described,
        has_more: false,
        first_id: models[0]?.id ?? null,
        last_id: models.at(-1)?.id ?? null,
      }
    case 'google':
      return { models: described }
  }
}

/** The model that this path names, by its public name or an alias; `undefined` when its wire has none of that name. */
export function findModel(
  gateway: Gateway,
  request: IncomingMessage,
  path: string,
): object | undefined {
  const dialect = dialectOfModels(request, path)
  const id = decodeName(path.slice(path.indexOf('/models/') + '/models/'.length))
  const route = id === undefined ? undefined : findRoute(gateway, id, dialect)
  if (route === undefined) return undefined
  const { model, upstream, metering, priceAtomic } = route
  const sheet = metering?.sheet ?? createCallSheet(priceAtomic)
  return describeModel(gateway, dialect, { id: model, upstream: upstream.name, sheet })
}

function findRoute({ upstreams }: Gateway, id: string, dialect: Dialect): Route | undefined {
  const wire = dialect === 'openai' ? 'openai-chat' : 'anthropic-messages'
  const native = upstreams.find(id, dialect)
  if (native !== undefined || dialect === 'google') return native
  return upstreams.findTranslated(id, wire)?.route
}

/** In whose form models are described. */
export function dialectOfModels({ headers }: IncomingMessage, path: string): Dialect {
  if (path.startsWith('/v1beta/')) return 'google'
  return headers['anthropic-version'] === undefined ? 'openai' : 'anthropic'
}

function describeModel(
  { config }: Gateway,
  dialect: Dialect,
  { id, upstream, sheet }: Pick<ListedModel, 'id' | 'upstream' | 'sheet'>,
): object {
  const price = config.payment === 'none' ? null : describePrice(sheet)
  switch (dialect) {
    case 'openai':
      return { id, object: 'model', created: 0, owned_by: upstream, price }
    case 'anthropic':
      return {
        type: 'model',
        id,
        display_name: id,
        created_at: '1970-01-01T00:00:00Z',
        price,
      }
    case 'google':
      return {
        name: `models/${id}`,
        displayName: id,
        supportedGenerationMethods: googleMethods,
        price,
      }
  }
}

const googleMethods = ['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent']
const modelName = /^[A-Za-z0-9._:/@+-]{1,128}$/

/** Clients write a slash in a name as it is, or as %2F. */
function decodeName(text: string): string | undefined {
  try {
    const name = decodeURIComponent(text)
    return modelName.test(name) && !name.includes('..') ? name : undefined
  } catch {
    return undefined
  }
}

/** Atomic units as text: per call, and per 1,000,000 units of each kind where use has a price. */
function describePrice(sheet: PriceSheet): unknown {
  const perCall = { amount: sheet.perCallAtomic.toString(), per: 'call' }
  if (!isMetered(sheet)) return perCall
  return {
    ...perCall,
    perMillion: sheet.tiers.map(({ aboveInput, rates }) => ({
      aboveInput,
      rates: Object.fromEntries(
        usageKinds.filter((kind) => rates[kind] > 0n).map((kind) => [kind, rates[kind].toString()]),
      ),
    })),
  }
}
