/** Starts a whole loopback network: the chain, then the gateway with its facilitator. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JsonMap } from '@countersign/protocol/bytes/json-decode'
import type { PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import { baseSepoliaUsdc } from '../pay/spending-limits.ts'
import { prepareNetworkKeys, type NetworkKeys } from './network-keys.ts'
import { isRunning, removeNetworkState, writeNetworkState } from './network-state.ts'
import { startProgram, type RunningProgram } from './run-program.ts'
import { defaultModel, type Upstream } from './upstream.ts'

/** What to start. */
export type NetworkOptions = {
  /** Keeps everything; the same folder gives the same network again. */
  readonly dataDir: string
  readonly upstream: Upstream
  /** Port of the gateway on loopback; 0 takes a free one. */
  readonly port: number
  /** Price of one call. */
  readonly priceAtomic: bigint
  /** The member `attestation` of the gateway's configuration; simulated when absent. */
  readonly attestation?: Readonly<Record<string, unknown>>
  /** Where provider keys are, and what the programs inherit. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** A running network. */
export type Network = {
  /** Base URL of the gateway, ending in /v1. */
  readonly baseUrl: string
  readonly rpcUrl: string
  readonly wallet: PrivateKeyAccount
  readonly model: string
  /** Resolves when a part of it ends without having been asked to. */
  readonly failed: Promise<ClientError>
  /** Stops the gateway, then the chain. Safe to call twice. */
  stop(): Promise<void>
}

const etherForGas = 100n * 10n ** 18n
/** What the wallet of a new network holds: 1,000 USDC of the loopback chain. */
const walletAtomic = 1_000_000_000n
const fallbackModel = 'loopback-echo'
// What a program needs to run at all. Everything else of the environment stays here.
const inherited = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'COUNTERSIGN_ANVIL']

/**
 * Starts a network, or continues the one of this folder.
 *
 * @throws ClientError `network-running`, `program-missing`, `program-failed`, `state-malformed`.
 */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const { dataDir, upstream } = options
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  if (await isRunning(dataDir)) throw new ClientError('network-running', { detail: dataDir })
  const keys = await prepareNetworkKeys(dataDir)
  const chain = await startChain(options, keys)
  try {
    const rpcUrl = textOf(chain.ready, 'rpcUrl')
    const gateway = await startGateway(options, keys, rpcUrl)
    const model = defaultModel(upstream) ?? fallbackModel
    const baseUrl = `${new URL(textOf(gateway.ready, 'url')).origin}/v1`
    await writeNetworkState(dataDir, { baseUrl, model })
    const stop = async (): Promise<void> => {
      await removeNetworkState(dataDir)
      await gateway.stop()
      await chain.stop()
    }
    const failed = Promise.race([chain.failed, gateway.failed])
    return { baseUrl, rpcUrl, wallet: keys.wallet, model, failed, stop }
  } catch (error) {
    await chain.stop()
    throw error
  }
}

function startChain(options: NetworkOptions, keys: NetworkKeys): Promise<RunningProgram> {
  const { dataDir, environment } = options
  return startProgram({
    program: 'chain',
    args: [
      '--data',
      join(dataDir, 'chain'),
      '--fund',
      `${keys.settlement.address}=${etherForGas}`,
      '--usdc',
      `${keys.wallet.address}=${walletAtomic}`,
      '--exit-with-parent',
    ],
    environment: inherit(environment),
    logFile: join(dataDir, 'chain.log'),
  })
}

async function startGateway(
  options: NetworkOptions,
  keys: NetworkKeys,
  rpcUrl: string,
): Promise<RunningProgram> {
  const { dataDir, environment, upstream } = options
  const configFile = join(dataDir, 'countersign.config.json')
  const config = createConfig(options, keys.payee.address, rpcUrl)
  await writeFile(configFile, `${JSON.stringify(config, null, 2)}\n`)
  const { apiKeyEnv } = upstream
  const apiKey = apiKeyEnv === undefined ? undefined : environment[apiKeyEnv]
  return startProgram({
    program: 'gateway',
    args: ['--config', configFile, '--exit-with-parent'],
    environment: {
      ...inherit(environment),
      COUNTERSIGN_SETTLEMENT_KEY: keys.settlementKey,
      ...(apiKeyEnv === undefined || apiKey === undefined ? {} : { [apiKeyEnv]: apiKey }),
    },
    logFile: join(dataDir, 'gateway.log'),
  })
}

/** The configuration file of the gateway. */
function createConfig(options: NetworkOptions, payTo: string, rpcUrl: string): unknown {
  const { upstream, port, priceAtomic } = options
  const { network, address, name, version } = baseSepoliaUsdc
  return {
    issuer: 'countersign:loopback',
    listen: { host: '127.0.0.1', port },
    dataDir: gatewayFolder,
    upstreams: [
      {
        name: upstream.name,
        baseUrl: upstream.baseUrl,
        ...(upstream.caFile === undefined ? {} : { caFile: upstream.caFile }),
        ...(upstream.apiKeyEnv === undefined ? {} : { apiKeyEnv: upstream.apiKeyEnv }),
        models: upstream.models.map((id) => ({ id, priceAtomic: `${priceAtomic}` })),
      },
    ],
    payment: {
      exact: { network, asset: address, assetName: name, assetVersion: version, payTo, rpcUrl },
      apiKeys: { asset: name },
    },
    attestation: options.attestation ?? { kind: 'simulated' },
  }
}

/** The gateway's data inside a network's folder. */
export const gatewayFolder = 'gateway'

function inherit(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const entries = inherited.flatMap((name) => {
    const value = environment[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(entries)
}

function textOf(ready: JsonMap, name: string): string {
  const value = ready.get(name)
  if (typeof value !== 'string' || !URL.canParse(value)) {
    throw new ClientError('program-failed', { detail: `its ready line has no ${name}` })
  }
  return value
}
