/** The models that callers of a wire can name, with prices, in the form of that wire. */
import type { IncomingMessage } from 'node:http'
import type { Gateway } from '../call/gateway.ts'
import { isMetered, type PriceSheet } from '../metering/price-sheet.ts'
import { usageKinds } from '../metering/usage.ts'
import type { ListedModel } from '../upstream/upstreams.ts'
import type { Dialect } from './wire-routes.ts'

/** The list that this request asks for: its path and its version header say on which wire. */
export function listModels(
  { upstreams, config }: Gateway,
  { headers }: IncomingMessage,
  path: string,
): unknown {
  const dialect = dialectOfList(path, headers['anthropic-version'] !== undefined)
  const models = upstreams.models.filter(
    (model) => model.dialect === dialect || model.translatedDialect === dialect,
  )
  const isFree = config.payment === 'none'
  const toPrice = ({ sheet }: ListedModel): unknown => (isFree ? null : describePrice(sheet))
  switch (dialect) {
    case 'openai':
      return {
        object: 'list',
        data: models.map((model) => ({
          id: model.id,
          object: 'model',
          created: 0,
          owned_by: model.upstream,
          price: toPrice(model),
        })),
      }
    case 'anthropic':
      return {
        data: models.map((model) => ({
          type: 'model',
          id: model.id,
          display_name: model.id,
          created_at: '1970-01-01T00:00:00Z',
          price: toPrice(model),
        })),
        has_more: false,
        first_id: models[0]?.id ?? null,
        last_id: models.at(-1)?.id ?? null,
      }
    case 'google':
      return {
        models: models.map((model) => ({
          name: `models/${model.id}`,
          displayName: model.id,
          supportedGenerationMethods: googleMethods,
          price: toPrice(model),
        })),
      }
  }
}

const googleMethods = ['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent']

function dialectOfList(path: string, hasAnthropicVersion: boolean): Dialect {
  if (path === '/v1beta/models') return 'google'
  return hasAnthropicVersion ? 'anthropic' : 'openai'
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
