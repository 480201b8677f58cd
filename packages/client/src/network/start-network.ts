/** Starts a whole loopback network: the chain, then the gateway with its facilitator. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJson, type JsonMap } from '@countersign/protocol/bytes/json-decode'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { generatePrivateKey, privateKeyToAddress, type PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { baseSepoliaUsdc } from '../pay/spending-limits.ts'
import { readBounded } from '../read-bounded.ts'
import { prepareNetworkKeys, type NetworkKeys } from './network-keys.ts'
import { isRunning, removeNetworkState, writeNetworkState } from './network-state.ts'
import {
  deployNetworkOperator,
  planNetworkOperator,
  registerChargeKey,
  type NetworkOperator,
} from './operator-contracts.ts'
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
/** The terms of the payment contracts, for payers of this network. */
const operatorFile = 'operator.json'
/** What `--operator-policy` takes, for the same payers. */
const operatorPolicyFile = 'operator-policy.json'
const sellWaitMs = 30_000
const sellPollMs = 100
const maxReadinessBytes = 4096
const maxAttestationBytes = 1_048_576
// What a program needs to run at all. Everything else of the environment stays here.
const inherited = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'COUNTERSIGN_ANVIL']

/**
 * Starts a network, or continues the one of this folder.
 *
 * @throws ClientError `file-unwritable`, `network-running`, `program-missing`, `program-failed`, `state-malformed`.
 */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const { dataDir, upstream } = options
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new ClientError('file-unwritable', { detail: dataDir, cause })
  })
  if (await isRunning(dataDir)) throw new ClientError('network-running', { detail: dataDir })
  const keys = await prepareNetworkKeys(dataDir)
  const chain = await startChain(options, keys)
  try {
    const rpcUrl = textOf(chain.ready, 'rpcUrl')
    const chargeKey = generatePrivateKey()
    // The addresses are known before there is code at them: the gateway starts meanwhile.
    const [started, deployed] = await Promise.allSettled([
      startGateway(options, keys, rpcUrl, chargeKey),
      deployNetworkOperator(rpcUrl, keys.payee),
    ])
    if (started.status === 'rejected') throw started.reason
    const gateway = started.value
    try {
      if (deployed.status === 'rejected') throw deployed.reason
      await registerKey(gateway, rpcUrl, keys, chargeKey)
      await awaitSelling(gateway)
    } catch (error) {
      await gateway.stop()
      throw error
    }
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
      '--fund',
      `${keys.payee.address}=${etherForGas}`,
      // Lets the wallet approve Permit2, which `upto` needs once.
      '--fund',
      `${keys.wallet.address}=${etherForGas}`,
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
  chargeKey: `0x${string}`,
): Promise<RunningProgram> {
  const { dataDir, environment, upstream } = options
  const configFile = join(dataDir, 'countersign.config.json')
  const operator = planNetworkOperator(keys.payee.address)
  await writeFile(join(dataDir, operatorFile), `${JSON.stringify(operator, null, 2)}\n`)
  // On loopback the payer is the operator: it trusts this one registry.
  const policy = { minDelaySeconds: 0, registries: [operator.registry], trustsProposers: true }
  await writeFile(join(dataDir, operatorPolicyFile), `${JSON.stringify(policy, null, 2)}\n`)
  const config = createConfig(options, operator, rpcUrl)
  await writeFile(configFile, `${JSON.stringify(config, null, 2)}\n`)
  const { apiKeyEnv } = upstream
  const apiKey = apiKeyEnv === undefined ? undefined : environment[apiKeyEnv]
  return startProgram({
    program: 'gateway',
    args: ['--config', configFile, '--exit-with-parent'],
    environment: {
      ...inherit(environment),
      COUNTERSIGN_SETTLEMENT_KEY: keys.settlementKey,
      COUNTERSIGN_CHARGE_KEY: chargeKey,
      ...(apiKeyEnv === undefined || apiKey === undefined ? {} : { [apiKeyEnv]: apiKey }),
    },
    logFile: join(dataDir, 'gateway.log'),
  })
}

/** The configuration file of the gateway. */
function createConfig(
  options: NetworkOptions,
  { payee, authorizer, settler, payeeOwner, gatewayId, minDelaySeconds }: NetworkOperator,
  rpcUrl: string,
): unknown {
  const { upstream, port, priceAtomic } = options
  const { network, address, name, version } = baseSepoliaUsdc
  const terms = { network, asset: address, assetName: name, assetVersion: version, rpcUrl }
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
      exact: { ...terms, payTo: payeeOwner },
      upto: { ...terms, payTo: payee, settler },
      batchSettlement: { ...terms, payTo: payee, receiverAuthorizer: authorizer },
      apiKeys: { asset: name },
      operator: {
        gatewayId,
        payeeOwner,
        proposers: [payeeOwner],
        guardian: payeeOwner,
        minDelaySeconds,
      },
    },
    attestation: options.attestation ?? { kind: 'simulated' },
  }
}

/** Makes the registry trust the key that the gateway's keyset names. */
async function registerKey(
  gateway: RunningProgram,
  rpcUrl: string,
  { payee }: NetworkKeys,
  chargeKey: `0x${string}`,
): Promise<void> {
  const url = new URL('/v1/attestation', textOf(gateway.ready, 'url'))
  url.searchParams.set('nonce', toHex(crypto.getRandomValues(new Uint8Array(32))))
  const bytes = await readBounded(await fetch(url), maxAttestationBytes)
  const json = bytes === undefined ? undefined : decodeJson(bytes)
  const text = isJsonMap(json) ? json.get('keyset') : undefined
  const keyset = typeof text === 'string' ? fromBase64url(text) : undefined
  if (keyset === undefined) {
    throw new ClientError('program-failed', { detail: 'the gateway shows no keyset' })
  }
  const digest = await crypto.subtle.digest('SHA-256', keyset)
  const keysetDigest = `0x${toHex(new Uint8Array(digest))}` as const
  await registerChargeKey(rpcUrl, payee, privateKeyToAddress(chargeKey), keysetDigest)
}

/** The gateway asks the registry every second while it sells nothing by a metered scheme. */
async function awaitSelling(gateway: RunningProgram): Promise<void> {
  const url = new URL('/readyz', textOf(gateway.ready, 'url'))
  const until = performance.now() + sellWaitMs
  for (;;) {
    const bytes = await readBounded(await fetch(url), maxReadinessBytes)
    const json = bytes === undefined ? undefined : decodeJson(bytes)
    if (isJsonMap(json) && json.get('metered') === 'sold') return
    if (performance.now() > until) {
      throw new ClientError('program-failed', { detail: 'the gateway does not see its charge key' })
    }
    await new Promise((resolve) => setTimeout(resolve, sellPollMs))
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
