/** The configuration of a facilitator: a file of its own, the one source of its types and of the published JSON Schema. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { ConfigError, readConfigJson } from '../config/load-config.ts'
import { findNodeListFault } from '../payment/chain-nodes/judge-nodes.ts'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an address of 20 bytes in hex')
const atomic = z.string().regex(/^(?:0|[1-9][0-9]{0,37})$/, 'a whole number')
const count = z.int().min(1).max(1_000_000)
const gas = z.int().min(100_000).max(1_000_000_000_000)
const payees = z
  .union([z.literal('any'), z.array(address).min(1).max(10_000)])
  .describe('Who may be paid: "any", or a list of addresses.')

const network = z.strictObject({
  network: z.string().regex(/^eip155:[1-9][0-9]{0,17}$/),
  rpcUrl: z.url({ protocol: /^https?$/ }),
  otherNodes: z
    .array(z.url({ protocol: /^https?$/ }))
    .max(6)
    .default([])
    .describe('Nodes that are asked beside rpcUrl.'),
  agree: z
    .int()
    .min(1)
    .max(7)
    .optional()
    .describe('How many nodes must say the same: more than half, which is the default.'),
  confirmations: z
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe('Blocks, the settlement’s own included.'),
  finalDepth: z
    .int()
    .min(1)
    .max(100_000)
    .default(32)
    .describe('Settlements are followed until their block is this deep; 1 follows none.'),
  schemes: z
    .array(z.enum(['exact', 'upto', 'batch-settlement']))
    .min(1)
    .default(['exact', 'upto', 'batch-settlement']),
  assets: z
    .array(
      z.strictObject({
        address,
        name: z.string().min(1).max(64).describe('Of the EIP-712 domain of the token.'),
        version: z.string().min(1).max(16),
        minAmountAtomic: atomic
          .default('1')
          .describe('Smaller payments, maxima of upto and deposits are refused: each costs gas.'),
      }),
    )
    .min(1)
    .max(16),
  payees,
  maxGasPriceWei: atomic
    .default('50000000000')
    .describe('Nothing is settled while gas costs more.'),
})

const client = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,64}$/),
  keySha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'SHA-256 in lower-case hex')
    .describe('Of the text that the client sends as Authorization: Bearer.'),
  payees: payees.optional().describe('In place of those of the network.'),
  requestsPerMinute: count.optional(),
  concurrentRequests: count.optional(),
  gasPerDay: gas.optional(),
})

const limits = z
  .strictObject({
    requestsPerMinute: count.default(600).describe('Of one client.'),
    concurrentRequests: count.default(32).describe('Of one client.'),
    totalConcurrentRequests: count.default(256),
    pendingSettlements: count.default(16).describe('Of one client, not on chain yet.'),
    totalPendingSettlements: count.default(128),
    gasPerDay: gas
      .default(20_000_000)
      .describe('Of one client and one day (UTC); a settlement takes some 100,000.'),
    totalGasPerDay: gas.default(200_000_000),
  })
  .prefault({})

const schema = z.strictObject({
  $schema: z.string().optional(),
  listen: z.strictObject({
    host: z.string().min(1).max(255).default('127.0.0.1'),
    port: z.int().min(0).max(65_535),
  }),
  dataDir: z.string().min(1).describe('Relative to the configuration file.'),
  networks: z.array(network).min(1).max(16),
  clients: z.array(client).max(1000).default([]),
  anonymous: z
    .boolean()
    .default(false)
    .describe('Also serve callers without a key, each address as a client.'),
  limits,
  settlementTimeoutMs: z
    .int()
    .min(1000)
    .max(85_000)
    .default(60_000)
    .describe('How long /settle waits; stock servers wait 90 seconds.'),
  log: z
    .strictObject({ level: z.enum(['error', 'warn', 'info', 'debug', 'silent']).default('info') })
    .prefault({}),
})

/** A valid configuration with its defaults filled in. */
export type FacilitatorConfig = z.infer<typeof schema>

/** One network of it. */
export type NetworkConfig = FacilitatorConfig['networks'][number]

/** Whom a client may have paid. */
export type Payees = NetworkConfig['payees']

/**
 * Loads a configuration file; `dataDir` is absolute then.
 *
 * @throws ConfigError when it cannot be read, is not JSON, or breaks the schema.
 */
export function loadFacilitatorConfig(file: string): FacilitatorConfig {
  const result = schema.safeParse(readConfigJson(file))
  if (!result.success) throw new ConfigError(z.prettifyError(result.error))
  const config = result.data
  refuseTwice(config.networks.map((each) => each.network))
  refuseTwice(config.clients.map((each) => each.name))
  refuseTwice(config.clients.map((each) => each.keySha256))
  for (const { network: name, assets, ...nodes } of config.networks) {
    refuseTwice(assets.map((each) => each.address))
    const fault = findNodeListFault([nodes.rpcUrl, ...nodes.otherNodes], nodes.agree)
    if (fault !== undefined) throw new ConfigError(`${name}: ${fault}`)
  }
  if (!config.anonymous && config.clients.length === 0) {
    throw new ConfigError('nobody may use this facilitator: name clients, or set anonymous')
  }
  return { ...config, dataDir: resolve(dirname(resolve(file)), config.dataDir) }
}

/** The JSON Schema of the file, for editors and `docs/`. */
export function createFacilitatorJsonSchema(): unknown {
  return z.toJSONSchema(schema, { io: 'input' })
}

function refuseTwice(names: readonly string[]): void {
  const seen = new Set(names.map((name) => name.toLowerCase()))
  if (seen.size !== names.length) throw new ConfigError('a network, client, key or asset is twice')
}
