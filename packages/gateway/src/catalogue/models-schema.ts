/** The members `models` and `prices` of the configuration: what callers can name, where it goes, what it costs. */
import { z } from 'zod'
import { modelBehaviour } from '../config/behaviour-schema.ts'
import { usageKinds } from '@countersign/protocol/receipt/usage-kinds'

const atomic = z.string().regex(/^(?:0|[1-9][0-9]{0,38})$/, 'a whole number of atomic units')
const tokens = z.int().min(1).max(1_000_000_000)
const modelName = z
  .string()
  .regex(/^[A-Za-z0-9._:/@+-]{1,128}$/, 'a name that calls can ask for')
  .refine((name) => !name.includes('..'), 'no ".."')

const rates = z
  .partialRecord(z.enum(usageKinds), atomic)
  .describe('Atomic units for 1,000,000 tokens, seconds or uses of each kind.')

const price = z
  .strictObject({
    builtIn: z
      .strictObject({
        percent: z.int().min(0).max(100_000).default(100).describe('100 is the list price.'),
      })
      .optional()
      .describe('List prices of the provider, as of the start of the gateway.'),
    perCallAtomic: atomic.optional().describe('For each call, before any use.'),
    perMillionAtomic: rates.optional(),
    aboveInput: z
      .array(z.strictObject({ tokens, perMillionAtomic: rates }))
      .max(8)
      .default([])
      .describe('Rates that replace the others in calls with more input; ascending.'),
  })
  .refine(
    (value) =>
      value.builtIn !== undefined ||
      value.perCallAtomic !== undefined ||
      value.perMillionAtomic !== undefined,
    'no price',
  )
  .refine(
    ({ aboveInput }) =>
      aboveInput.every((tier, index) => tier.tokens > (aboveInput[index - 1]?.tokens ?? 0)),
    'aboveInput must ascend',
  )
  .refine(
    ({ aboveInput, perMillionAtomic, builtIn }) =>
      aboveInput.length === 0 || (perMillionAtomic !== undefined && builtIn === undefined),
    'aboveInput replaces own rates, not built-in ones',
  )

const limits = z
  .strictObject({
    contextTokens: tokens.optional().describe('Most tokens of one prompt.'),
    maxOutputTokens: tokens
      .optional()
      .describe('Reserved when a call sets no limit of its own; by default contextTokens.'),
    tokensPerAttachment: tokens
      .optional()
      .describe('Most tokens of an image, file or recording; by default contextTokens.'),
    maxServerToolCalls: z
      .int()
      .min(0)
      .max(1000)
      .default(16)
      .describe('Reserved for tools that the provider runs; more are at the cost of the operator.'),
    maxChargeAtomic: atomic.optional().describe('No call is charged more, whatever it used.'),
    hidesReasoning: z
      .boolean()
      .default(true)
      .describe('false: the model writes no token that its stream does not show.'),
  })
  .prefault({})

const upstreamName = z.string().regex(/^[a-z0-9-]{1,64}$/)
const weight = z
  .int()
  .min(0)
  .max(1000)
  .default(1)
  .describe('Share of the calls; 0: only when the others fail.')

const route = z.strictObject({
  upstream: upstreamName.describe('A name of `upstreams`, of the same kind.'),
  upstreamModel: modelName
    .optional()
    .describe('What this upstream is asked for; by default that of the model.'),
  weight,
})

/** One model of the catalogue. */
export const modelSchema = z.strictObject({
  name: modelName.describe('What callers ask for.'),
  aliases: z.array(modelName).max(64).default([]).describe('Other names for the same.'),
  upstream: upstreamName.describe('A name of `upstreams`.'),
  provider: z
    .enum(['openai', 'anthropic', 'google', 'xai'])
    .describe('How the upstream speaks and counts, and whose list prices are meant.'),
  upstreamModel: modelName
    .optional()
    .describe('What the upstream is asked for; by default `name`.'),
  addUsage: z.boolean().optional().describe('As that of the upstream, for this model.'),
  weight,
  routes: z
    .array(route)
    .max(7)
    .default([])
    .describe('Further upstreams that serve the same model, at the same price.'),
  translate: z
    .boolean()
    .default(false)
    .describe(
      'Also serve callers of another wire: chat for Claude and Gemini, messages for OpenAI.',
    ),
  ...modelBehaviour,
  price,
  limits,
})

/** The member `models`. */
export const modelsSchema = z.array(modelSchema).max(4096)

/** The member `prices`. */
export const pricesSchema = z
  .strictObject({
    atomicPerUsd: atomic
      .default('1000000')
      .describe('Atomic units of the asset that are one US dollar, for built-in prices.'),
  })
  .prefault({})

/** A model of the configuration, with its defaults. */
export type ModelConfig = z.infer<typeof modelSchema>

/** `prices` of the configuration, with its defaults. */
export type PricesConfig = z.infer<typeof pricesSchema>
