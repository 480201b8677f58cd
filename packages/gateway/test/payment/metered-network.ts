/** A gateway that sells metered calls on a real chain: the operator's contracts, a provider, payers with stock clients. */
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { planOperator, planRegistry } from '@countersign/contracts/operator'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from '@x402/core/http'
import type { PaymentPayload, PaymentRequired } from '@x402/core/types'
import { toClientEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme } from '@x402/evm/batch-settlement/client'
import { UptoEvmScheme } from '@x402/evm/upto/client'
import { x402Client } from '@x402/fetch'
import { createWalletClient, encodeFunctionData, http, keccak256, toHex, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { callRaw, type RawCall, type RawResult } from '../../../../test/provider/raw-client.ts'
import { startGateway, type GatewayOptions, type RunningGateway } from '../support/start-gateway.ts'
import { startTestChain, type ChainStart, type TestChain } from './chain-process.ts'
import { nextPayerKey } from './channel-fixture.ts'
import { planAttestation } from './plan-attestation.ts'

/** Where one gateway is paid, and by which keys. */
export type MeteredOperator = {
  readonly payee: Hex
  readonly settler: Hex
  readonly authorizer: Hex
  readonly settlementKey: Hex
  /** Proposes, guards and owns. */
  readonly ownerKey: Hex
  /** Registers another settlement key beside those before, and gives it; for a day, or until this time on the chain. */
  attestKey(untilSeconds?: number): Promise<Hex>
  /** Registers this key beside those before. */
  trustKey(key: Hex): Promise<void>
  /** The guardian's word: as if the key had never been trusted. */
  revokeKey(key: Hex): Promise<void>
  /** What a payer has to know of it beforehand. */
  readonly terms: {
    readonly gatewayId: Hex
    readonly payeeOwner: Hex
    readonly proposers: readonly Hex[]
    readonly guardian: Hex
    readonly minDelaySeconds: number
  }
}

/** A chain with gateways of their own. */
export type MeteredNetwork = {
  readonly chain: TestChain
  /** A new gateway's contracts and keys; where the timelock has a delay, no key is registered. */
  createOperator(minDelaySeconds?: number): Promise<MeteredOperator>
  /** A key that holds test USDC, of which Permit2 may take all. */
  createPayer(): Promise<Hex>
  /** A key that holds test USDC: enough for deposits by EIP-3009. */
  createChannelPayer(): Hex
  /** Test USDC of an account. */
  balanceOf(owner: Hex): Promise<bigint>
  /** What the contract says of a channel: deposited and claimed. */
  channelOf(channelId: Hex): Promise<readonly [bigint, bigint]>
}

const read = { address: baseSepoliaUsdc.address, abi: testUsdcAbi } as const

/** Starts the chain, whose payers hold this much. */
export async function startMeteredNetwork(
  balanceAtomic?: bigint,
  start?: ChainStart,
): Promise<MeteredNetwork> {
  return createMeteredNetwork(await startTestChain(balanceAtomic, start))
}

/** The same on a chain that runs. */
export function createMeteredNetwork(chain: TestChain): MeteredNetwork {
  // Owned by `createOperator`: each gateway has a name of its own.
  let operators = 0
  return {
    chain,
    createOperator: (minDelaySeconds = 0) =>
      deployOperator(chain, keccak256(toHex(`gateway ${operators++}`)), minDelaySeconds),
    createPayer: () => createApprovedPayer(chain),
    createChannelPayer: () => nextPayerKey(chain),
    balanceOf: (owner) =>
      chain.client.readContract({ ...read, functionName: 'balanceOf', args: [owner] }),
    channelOf: (channelId) =>
      chain.client.readContract({
        address: baseSepoliaX402.batchSettlement,
        abi: batchSettlementAbi,
        functionName: 'channels',
        args: [channelId],
      }),
  }
}

/** Input tokens cost 1 atomic unit, output tokens 2. */
const meteredModel = (name: string): Readonly<Record<string, unknown>> => ({
  name,
  upstream: 'loopback',
  provider: 'openai',
  price: { perMillionAtomic: { input: '1000000', output: '2000000' } },
  limits: { contextTokens: 4000, maxOutputTokens: 500 },
})

/** Models that every gateway of these tests sells by use; `flat` stands for a fixed price. */
const meteredModels = [
  'loopback-echo',
  'loopback-slow-30',
  'loopback-slow-20000',
  'hostile-status-500',
  'hostile-reset',
  'hostile-eof-mid',
  'hostile-header-injection',
]

/** Counts its input at the start of a stream. */
const slowMessages = {
  ...meteredModel('slow-messages'),
  upstream: 'messages',
  provider: 'anthropic',
  upstreamModel: 'loopback-slow-20000',
}

/** What a gateway of these tests sells, and how. */
export type MeteredOptions = {
  readonly providerUrl: string
  readonly folder?: string
  readonly upto?: Readonly<Record<string, unknown>> | null
  readonly batch?: Readonly<Record<string, unknown>> | null
  readonly exact?: boolean
  /** `payment.collect`. */
  readonly collect?: Readonly<Record<string, unknown>>
  /** Of a proxy in front of the chain. */
  readonly rpcUrl?: string
  readonly workers?: number
  /** Keys that sign charges, in place of the settlement key: a file of the operator's. */
  readonly chargeKeysFile?: string
  readonly limits?: Readonly<Record<string, number>>
  /** `payment.chain`. */
  readonly chainTerms?: Readonly<Record<string, unknown>>
  /** Whose X-Forwarded-For is believed. */
  readonly proxies?: readonly string[]
  /** The program, when it is not the sources. */
  readonly program?: string
  /** What `flat` costs; `null`: by its use. */
  readonly flatAtomic?: string | null
  readonly port?: number
}

/** Starts a gateway with these schemes, in front of a provider that speaks plain HTTP. */
export function startMeteredGateway(
  network: MeteredNetwork,
  operator: MeteredOperator,
  options: MeteredOptions,
): Promise<RunningGateway> {
  return startGateway(createMeteredOptions(network, operator, options))
}

/** The same as options, for a reload. */
export function createMeteredOptions(
  { chain }: MeteredNetwork,
  operator: MeteredOperator,
  options: MeteredOptions,
): GatewayOptions {
  const onChain = {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: operator.payee,
    rpcUrl: options.rpcUrl ?? chain.rpcUrl,
  }
  const { workers = 1, folder, program, limits = {}, flatAtomic = '700', port = 0 } = options
  const { proxies } = options
  const byUse = flatAtomic === null ? [...meteredModels, 'flat'] : meteredModels
  const payment = createPaymentMember(operator, options, onChain)
  return {
    environment: { COUNTERSIGN_SETTLEMENT_KEY: operator.settlementKey },
    ...(folder === undefined ? {} : { folder }),
    ...(program === undefined ? {} : { program }),
    limits,
    config: {
      workers,
      listen: { port, proxies },
      upstreams: [
        {
          name: 'loopback',
          baseUrl: options.providerUrl,
          models: flatAtomic === null ? [] : [{ id: 'flat', priceAtomic: flatAtomic }],
        },
        { name: 'messages', kind: 'anthropic', baseUrl: options.providerUrl },
      ],
      models: [...byUse.map(meteredModel), slowMessages],
      payment,
    },
  }
}

function createPaymentMember(
  { terms, settler, authorizer: receiverAuthorizer }: MeteredOperator,
  { upto = {}, batch = {}, exact = false, chargeKeysFile, chainTerms, collect }: MeteredOptions,
  onChain: object,
): object {
  return {
    ...(upto === null && batch === null ? {} : { operator: terms }),
    // JSON has no undefined: absent when it is not given.
    chargeKeysFile,
    chain: chainTerms,
    collect,
    ...(exact ? { exact: onChain } : {}),
    ...(upto === null ? {} : { upto: { ...onChain, settler, ...upto } }),
    ...(batch === null
      ? {}
      : {
          batchSettlement: {
            ...onChain,
            receiverAuthorizer,
            withdrawDelaySeconds: 3600,
            minDepositAtomic: '10000',
            ...batch,
          },
        }),
  }
}

/** The unmodified client of the x402 packages, which can read the chain. */
export function createMeteredClient(
  { chain }: MeteredNetwork,
  key: Hex,
  scheme: 'upto' | 'batch-settlement',
): x402Client {
  const signer = toClientEvmSigner(privateKeyToAccount(key), {
    readContract: (args) => chain.client.readContract({ ...args, args: args.args ?? [] }),
  })
  return new x402Client().register(
    'eip155:*',
    scheme === 'upto' ? new UptoEvmScheme(signer) : new BatchSettlementEvmScheme(signer),
  )
}

/** The same for channels, with the scheme that asks for refunds. */
export function createRefundingClient(
  { chain }: MeteredNetwork,
  key: Hex,
): { readonly scheme: BatchSettlementEvmScheme; readonly client: x402Client } {
  const signer = toClientEvmSigner(privateKeyToAccount(key), {
    readContract: (args) => chain.client.readContract({ ...args, args: args.args ?? [] }),
  })
  const scheme = new BatchSettlementEvmScheme(signer)
  return { scheme, client: new x402Client().register('eip155:*', scheme) }
}

/** A chat call. */
export function chatBody(model: string, stream: boolean, prompt = 'hello'): string {
  return JSON.stringify({
    model,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    messages: [{ role: 'user', content: prompt }],
  })
}

/** Posts a chat call, paid or not. */
export function post(
  { url }: Pick<RunningGateway, 'url'>,
  body: string,
  payment?: PaymentPayload,
  more: Partial<RawCall> = {},
): Promise<RawResult> {
  const headers =
    payment === undefined ? {} : { 'payment-signature': encodePaymentSignatureHeader(payment) }
  return callRaw({
    url: `${url}/v1/${isMessages(body) ? 'messages' : 'chat/completions'}`,
    method: 'POST',
    body,
    maxHeaderSize: 65_536,
    ...more,
    headers: { ...headers, ...more.headers },
  })
}

function isMessages(body: string): boolean {
  return body.includes('"slow-messages"')
}

/** The offer in a 402. */
export function quoteIn(answer: RawResult): PaymentRequired {
  const header = answer.headers['payment-required']
  if (typeof header !== 'string') throw new Error(`no offer: ${answer.body.toString()}`)
  return decodePaymentRequiredHeader(header)
}

/** Asks for the offer of a call and signs for it. */
export async function signFor(
  client: x402Client,
  gateway: Pick<RunningGateway, 'url'>,
  body: string,
): Promise<PaymentPayload> {
  return client.createPaymentPayload(quoteIn(await post(gateway, body)))
}

/** Registry, timelock and the operator's contracts, with one attested key; nothing waits for a block in between. */
async function deployOperator(
  chain: TestChain,
  gatewayId: Hex,
  minDelaySeconds: number,
): Promise<MeteredOperator> {
  const settlementKey = chain.nextSettlementKey()
  const ownerKey = chain.nextSettlementKey()
  const account = privateKeyToAccount(ownerKey)
  const transport = http(chain.rpcUrl, { timeout: 60_000 })
  const wallet = createWalletClient({ account, chain: baseSepolia, transport })
  const x402 = baseSepoliaX402
  const { address: owner } = account
  const roles = { minDelaySeconds, proposers: [owner], guardian: owner }
  const { timelock, registry } = planRegistry({ x402, ...roles })
  const { address } = registry
  const contracts = planOperator({ x402, registry: address, gatewayId, payeeOwner: owner })
  let nonce = 0
  const send = async (
    ...sends: readonly { readonly to: Hex; readonly data: Hex }[]
  ): Promise<void> => {
    const hashes: Hex[] = []
    for (const { to, data } of sends) {
      hashes.push(await wallet.sendTransaction({ to, data, nonce: nonce++, gas: 4_000_000n }))
    }
    for (const hash of hashes) {
      const { status } = await chain.mined(hash)
      if (status !== 'success') throw new Error('a transaction of an operator failed')
    }
  }
  const attest = async (key: Hex, untilSeconds?: number): ReturnType<typeof planAttestation> =>
    planAttestation(chain, { timelock, registry, gatewayId }, key, untilSeconds)
  await send(
    timelock,
    registry,
    contracts.settler,
    contracts.authorizer,
    contracts.payee,
    ...(minDelaySeconds === 0 ? await attest(settlementKey) : []),
  )
  return {
    payee: contracts.payee.address,
    settler: contracts.settler.address,
    authorizer: contracts.authorizer.address,
    settlementKey,
    ownerKey,
    attestKey: async (untilSeconds) => {
      const key = chain.nextSettlementKey()
      await send(...(await attest(key, untilSeconds)))
      return key
    },
    trustKey: async (key) => send(...(await attest(key))),
    revokeKey: (key) =>
      send({
        to: registry.address,
        data: encodeFunctionData({
          abi: keyRegistryAbi,
          functionName: 'revokeKey',
          args: [gatewayId, privateKeyToAddress(key), 1],
        }),
      }),
    terms: { gatewayId, payeeOwner: owner, ...roles },
  }
}

/** A payer that lets Permit2 move its money, as `upto` needs. */
async function createApprovedPayer(chain: TestChain): Promise<Hex> {
  const key = nextPayerKey(chain)
  const account = privateKeyToAccount(key)
  const transport = http(chain.rpcUrl, { timeout: 60_000 })
  const giver = privateKeyToAccount(chain.nextSettlementKey())
  const gas = createWalletClient({ account: giver, chain: baseSepolia, transport })
  await chain.mined(await gas.sendTransaction({ to: account.address, value: 10n ** 16n }))
  const wallet = createWalletClient({ account, chain: baseSepolia, transport })
  const hash = await wallet.writeContract({
    address: baseSepoliaUsdc.address,
    abi: testUsdcAbi,
    functionName: 'approve',
    args: [baseSepoliaX402.permit2, 1n << 255n],
  })
  await chain.mined(hash)
  return key
}
