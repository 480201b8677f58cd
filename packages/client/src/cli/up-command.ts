/** `countersign up`: runs a whole loopback network until it is stopped. */
import { resolve } from 'node:path'
import { ClientError } from '../errors.ts'
import { startNetwork, type Network } from '../network/start-network.ts'
import { readUsdcBalance } from '../network/usdc-balance.ts'
import { findProvider, providerVariables, type Upstream } from '../network/upstream.ts'
import {
  parseAtomic,
  parseCommandLine,
  parsePort,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { commandName } from './command-name.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { withProgress } from './progress.ts'
import type { Output } from './terminal.ts'

/** The command. */
export const upCommand: Command = {
  help: `usage: countersign up [options]

Runs a chain (with test USDC), and a gateway with its facilitator, on loopback, until Ctrl-C. Keys, chain and receipts
live in ./.countersign and are there again after a restart. Nothing of it is worth real money.

  --upstream URL      base URL of a provider that speaks the OpenAI wire (vLLM, Ollama, llama.cpp, …), ending in /v1
  --upstream-ca FILE  PEM file of the only authority to trust for it
  --model ID          a model of it; may be repeated; default: every name
  --api-key-env NAME  environment variable with the key for it
  --port N            port of the gateway, default 8402; 0 takes a free one
  --price ATOMIC      price of a call, default 10000 (0.01 USDC)
  --data DIR          default ./.countersign

Without --upstream the provider is the first whose key is set:
  ${providerVariables.join(', ')}

exit code: 0 stopped, 64 wrong usage, 69 a part of it failed

examples:
  countersign up
  countersign up --upstream http://127.0.0.1:11434/v1 --model llama3.2
  OPENAI_API_KEY=… countersign up --model gpt-4.1-nano
`,
  run,
}

const minNodeMajor = 24

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    upstream: { type: 'string' },
    'upstream-ca': { type: 'string' },
    model: { type: 'string', multiple: true, default: [] },
    'api-key-env': { type: 'string' },
    port: { type: 'string', default: '8402' },
    price: { type: 'string', default: '10000' },
    data: { type: 'string', default: '.countersign' },
  })
  if (positionals.length > 0) throw new UsageError('up takes no arguments, only options')
  const upstream = chooseUpstream(values, context.environment)
  const options = {
    dataDir: resolve(values.data),
    upstream,
    port: parsePort(values.port),
    priceAtomic: parseAtomic('--price', values.price),
    environment: context.environment,
  }
  refuseOldNode()
  const { terminal, interrupted } = context
  const network = await withProgress(terminal.err, 'starting', startNetwork(options))
  try {
    await announce(network, upstream, options.dataDir, terminal.out)
    const stopped = new Promise<'interrupted'>((done) => {
      interrupted.addEventListener('abort', () => done('interrupted'))
      if (interrupted.aborted) done('interrupted')
    })
    const end = await Promise.race([stopped, network.failed])
    if (end !== 'interrupted') throw end
    terminal.out.write('\nstopping\n')
    return exitCodes.ok
  } finally {
    await withProgress(terminal.err, 'stopping', network.stop())
  }
}

function chooseUpstream(
  values: {
    readonly upstream?: string | undefined
    readonly 'upstream-ca'?: string | undefined
    readonly model: readonly string[]
    readonly 'api-key-env'?: string | undefined
  },
  environment: Readonly<Record<string, string | undefined>>,
): Upstream {
  const { upstream, model, 'upstream-ca': caFile, 'api-key-env': apiKeyEnv } = values
  if (upstream === undefined) {
    if (caFile !== undefined || apiKeyEnv !== undefined) {
      throw new UsageError('--upstream-ca and --api-key-env belong to --upstream, which is missing')
    }
    const provider = findProvider(environment)
    if (provider === undefined) {
      throw new UsageError(
        `no provider: give --upstream URL, or set one of ${providerVariables.join(', ')}`,
      )
    }
    return model.length === 0 ? provider : { ...provider, models: model }
  }
  if (!URL.canParse(upstream)) throw new UsageError(`--upstream ${upstream} is no URL`)
  return {
    name: 'upstream',
    baseUrl: upstream,
    ...(caFile === undefined ? {} : { caFile: resolve(caFile) }),
    ...(apiKeyEnv === undefined ? {} : { apiKeyEnv }),
    models: model.length === 0 ? ['*'] : model,
  }
}

function refuseOldNode(): void {
  const major = Number(process.versions.node.split('.')[0])
  if (major >= minNodeMajor) return
  throw new ClientError('program-missing', {
    detail: `the gateway needs Node ${minNodeMajor}, this is ${process.version}`,
  })
}

async function announce(
  network: Network,
  upstream: Upstream,
  dataDir: string,
  out: Output,
): Promise<void> {
  const { baseUrl, rpcUrl, wallet } = network
  const models = upstream.models.map((model) => (model === '*' ? 'any other name' : model))
  const where = dataDir === resolve('.countersign') ? '' : ` --data ${dataDir}`
  const balance = await readUsdcBalance(rpcUrl, wallet.address)
  const row = (name: string, text: string): string =>
    `  ${out.style('bold', name.padEnd(10))}${text}\n`
  out.write(
    `Countersign network on loopback, ${out.style('alarm', 'SIMULATED')} evidence, test money\n\n` +
      row('gateway', `${baseUrl}  →  ${upstream.baseUrl}`) +
      row('models', models.join(', ')) +
      row('chain', `${rpcUrl}  (chain id 84532)`) +
      row('wallet', `${wallet.address}  ${formatUsdc(balance)} test USDC`) +
      row('data', `${dataDir}  (keys.json holds the keys)`) +
      `
Call it, and pay from the wallet:
  ${commandName} call${where} "Say hello"

With an API key, from any OpenAI client (apiKey: the secret, baseURL: ${baseUrl}):
  ${commandName} keys create --name me --budget 1000000${where}

From code that pays by itself:
  const paidFetch = countersignFetch({ baseUrl, account, maxAmountAtomic: 20_000n, budgetAtomic: 1_000_000n })
  const openai = new OpenAI({ baseURL: baseUrl, apiKey: 'unused', fetch: paidFetch })

Ctrl-C stops everything.
`,
  )
}

function formatUsdc(atomic: bigint): string {
  const fraction = (atomic % 1_000_000n).toString().padStart(6, '0')
  return `${atomic / 1_000_000n}.${fraction}`
}
