/** The configuration file `countersign.config.json`: the one source of its types and of the published JSON Schema. */
import { z } from 'zod'
import { modelsSchema, pricesSchema } from '../catalogue/models-schema.ts'
import { attestationSchema } from './attestation-schema.ts'
import { isNetwork } from '../http/caller-address.ts'
import { upstreamBehaviour } from './behaviour-schema.ts'
import {
  batchSettlementSchema,
  chainSchema,
  collectSchema,
  operatorSchema,
  uptoSchema,
} from './payment-schema.ts'

const atomic = z.string().regex(/^(?:0|[1-9][0-9]{0,38})$/, 'a whole number of atomic units')
const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an address of 20 bytes in hex')
const hostName = z
  .string()
  .regex(
    /^(?=.{1,253}$)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*$/,
    'a host name or IPv4 address',
  )
const milliseconds = z.int().min(1).max(86_400_000)
const environmentName = z.string().regex(/^[A-Z][A-Z0-9_]{0,127}$/)

const model = z.strictObject({
  id: z
    .string()
    .regex(/^(?:\*|[A-Za-z0-9._:/@+-]{1,128})$/, 'a name that calls can ask for')
    .describe('Public name of the model; "*" takes every other name on the wire of its upstream.'),
  priceAtomic: atomic.describe('Price of one call, in atomic units of the asset.'),
})

const upstream = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,64}$/),
  kind: z
    .enum(['openai', 'anthropic', 'google', 'xai'])
    .default('openai')
    .describe('How it is spoken to; openai also for servers that speak like it.'),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .refine(hasOnlyOriginAndPath, 'only origin and path: no credentials, query or fragment')
    .describe('With the version, without the path of the call: https://api.openai.com/v1'),
  apiKeyEnv: environmentName
    .optional()
    .describe('Environment variable that holds the provider key.'),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only authority to trust for this upstream.'),
  connections: z.int().min(1).max(4096).default(256),
  addUsage: z
    .boolean()
    .optional()
    .describe('Whether chat streams are asked for their usage; by default where it has a price.'),
  ...upstreamBehaviour,
  restMs: milliseconds
    .optional()
    .describe('After it failed and another route took over: so long it is asked last.'),
  models: z
    .array(model)
    .max(1024)
    .default([])
    .describe('Models at a fixed price per call; those priced by use stand in `models` below.'),
})

const exact = z.strictObject({
  network: z.string().regex(/^eip155:[1-9][0-9]{0,17}$/),
  asset: address,
  assetName: z.string().min(1).max(64),
  assetVersion: z.string().min(1).max(16),
  payTo: address.describe('Where payments go; no other gateway with its own ledger may use it.'),
  rpcUrl: z.url({ protocol: /^https?$/ }),
  maxTimeoutSeconds: z.int().min(10).max(3600).default(120),
  confirmations: z.int().min(1).max(1000).default(1),
  settlementTimeoutMs: milliseconds
    .default(30_000)
    .describe('How long an answer waits for its settlement.'),
  settle: z
    .union([
      z.literal('before'),
      z.strictObject({ after: z.strictObject({ maxAtRiskAtomic: atomic }) }),
    ])
    .default('before')
    .describe('"before": no byte of an answer leaves before its payment is confirmed.'),
})

const apiKeys = z.strictObject({ asset: signedText(128) })

const payment = z
  .union([
    z.literal('none'),
    z
      .strictObject({
        exact: exact.optional(),
        upto: uptoSchema.optional(),
        batchSettlement: batchSettlementSchema.optional(),
        apiKeys: apiKeys.optional(),
        chain: chainSchema.optional(),
        collect: collectSchema.optional(),
        journalDir: z
          .string()
          .min(1)
          .optional()
          .describe('Journal of upto and batchSettlement; ledger in dataDir when absent.'),
        operator: operatorSchema.optional(),
        chargeKeysFile: z
          .string()
          .min(1)
          .optional()
          .describe(
            'File of 1 to 8 charge keys, one a line; read again by a reload. COUNTERSIGN_CHARGE_KEY when absent.',
          ),
      })
      .refine(
        (value) => [value.exact, value.upto, value.batchSettlement, value.apiKeys].some(Boolean),
        'no way to pay',
      ),
  ])
  .describe('"none", or at least one of exact, upto and batchSettlement (x402) and apiKeys.')

const limits = z
  .strictObject({
    maxRequestBytes: z.int().min(1024).max(268_435_456).default(33_554_432),
    maxHeldRequestBytes: z
      .int()
      .min(1024)
      .max(1_099_511_627_776)
      .default(1_073_741_824)
      .describe('Request bodies of all calls under way together: more are refused with 503.'),
    maxResponseBytes: z.int().min(1024).max(1_073_741_824).default(67_108_864),
    maxCalls: z.int().min(1).max(1_000_000).default(10_000),
    connectTimeoutMs: milliseconds.default(10_000),
    firstByteTimeoutMs: milliseconds.default(900_000),
    idleTimeoutMs: milliseconds.default(900_000),
    totalTimeoutMs: milliseconds.default(3_600_000),
    drainTimeoutMs: milliseconds
      .default(30_000)
      .describe('How long calls under way may still take when the gateway is stopped.'),
    stopTimeoutMs: milliseconds
      .default(15_000)
      .describe(
        'After that: for payments and receipts of the calls that were cut off. Then the process ends as if it was killed.',
      ),
    workerTimeoutMs: z
      .int()
      .min(1000)
      .max(86_400_000)
      .default(30_000)
      .describe('With several workers: one that does not answer the primary for so long is ended.'),
    perPayer: z
      .strictObject({
        callsPerMinute: z.int().min(1).max(1_000_000).optional(),
        burst: z
          .int()
          .min(1)
          .max(1_000_000)
          .optional()
          .describe('Calls that may come at once after a silence; by default those of a minute.'),
        concurrentCalls: z.int().min(1).max(1_000_000).optional(),
      })
      .prefault({})
      .describe('For each payer: an API key, or a wallet.'),
  })
  .prefault({})

const receipts = z
  .strictObject({
    enabled: z.boolean().default(true).describe('false makes this a plain relay, for measuring.'),
    keepDays: z.int().min(1).max(3650).default(30),
  })
  .prefault({})

const telemetry = z
  .strictObject({
    otlpUrl: z
      .url({ protocol: /^https?$/ })
      .refine(hasOnlyOriginAndPath, 'only origin and path: no credentials, query or fragment')
      .describe('Where spans are posted as OTLP/HTTP JSON: https://collector.example/v1/traces'),
    authorizationEnv: environmentName
      .optional()
      .describe('Environment variable that holds the Authorization header for the collector.'),
    samplePercent: z.int().min(0).max(100).default(100).describe('Of the traces, by their id.'),
  })
  .optional()
  .describe('OpenTelemetry traces; none without it.')

const profiles = z
  .strictObject({
    openGradient: z
      .strictObject({})
      .optional()
      .describe('Also speak to clients of OpenGradient: a weaker statement beside the receipt.'),
  })
  .prefault({})

const translation = z
  .strictObject({
    keepDays: z
      .int()
      .min(0)
      .max(30)
      .default(1)
      .describe('How long callers can fetch the provider’s bytes of a translated call; 0: never.'),
    maxKeptBytes: z
      .int()
      .min(1024)
      .max(1_099_511_627_776)
      .default(268_435_456)
      .describe('Of all those bytes together; the oldest go first.'),
  })
  .prefault({})

/** Validates a configuration; unknown members are errors. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  issuer: signedText(255).describe('Name that stands in every statement.'),
  listen: z.strictObject({
    host: z.string().min(1).max(255).default('127.0.0.1'),
    port: z.int().min(0).max(65_535),
    tls: z
      .strictObject({ names: z.array(hostName).min(1).max(32) })
      .optional()
      .describe('Ends TLS in the gateway, with a key that stands in the keyset.'),
    sealed: z
      .boolean()
      .default(true)
      .describe('Takes calls that are encrypted to a key in the keyset (/v1/sealed).'),
    proxies: z
      .array(z.string().max(64).refine(isNetwork, 'an address, or a network as 10.0.0.0/8'))
      .max(64)
      .default([])
      .describe('Whose X-Forwarded-For is believed: addresses and networks of proxies in front.'),
  }),
  workers: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('Processes that serve, one core each; more than one has a primary process besides.'),
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Origin at which callers reach the gateway; stands in payment offers.'),
  dataDir: z.string().min(1).describe('Relative to the configuration file.'),
  upstreams: z.array(upstream).min(1).max(64),
  models: modelsSchema.default([]),
  prices: pricesSchema,
  payment,
  attestation: attestationSchema,
  limits,
  receipts,
  telemetry,
  translation,
  profiles,
  log: z
    .strictObject({ level: z.enum(['error', 'warn', 'info', 'debug', 'silent']).default('info') })
    .prefault({}),
})

/** A valid configuration with its defaults filled in. */
export type Config = z.infer<typeof configSchema>

/** How keys are attested. */
export type AttestationConfig = Config['attestation']

/** An upstream of the configuration. */
export type UpstreamConfig = Config['upstreams'][number]

/** The JSON Schema of the file, for editors and `docs/`. */
export function createConfigJsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: 'input' })
}

/** What is longer in UTF-8 would make statements that no verifier can read (spec/statement.md ST2.2). */
function signedText(maxBytes: number) {
  return z
    .string()
    .min(1)
    .max(maxBytes)
    .refine((text) => Buffer.byteLength(text) <= maxBytes, `a text of at most ${maxBytes} bytes`)
}

function hasOnlyOriginAndPath(text: string): boolean {
  const url = URL.parse(text)
  // What is no URL at all is refused as such.
  return url === null || `${url.username}${url.password}${url.search}${url.hash}` === ''
}
