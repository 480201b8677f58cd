/**
 * No charge key signs before a keyset names it, and the attestation holds all the while (PA28.7, PA28.8): a real gateway
 * process, a real chain, and evidence that waits where the test looks.
 */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { createBatchDomain } from '@countersign/protocol/payment/channel'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { decodePaymentResponseHeader } from '@x402/core/http'
import { wrapFetchWithPayment } from '@x402/fetch'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { decodeFunctionData, getAddress, hashMessage, recoverAddress, toHex, type Hex } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'
import {
  chatBody,
  createMeteredClient,
  createMeteredOptions,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from './payment/metered-network.ts'
import { plainNonce, startHeldDstack, type HeldDstack } from './support/held-dstack.ts'
import {
  createGatewayFolder,
  startGateway,
  type GatewayOptions,
  type RunningGateway,
} from './support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
const curve = await loadEvmCurve()
const slow = { timeout: 180_000 }
const body = chatBody('loopback-echo', false)
const hurriedProgram = fileURLToPath(new URL('support/hurried-gateway.ts', import.meta.url))

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider()
}, 60_000)
afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

type Place = {
  readonly agent: HeldDstack
  readonly write: (...keys: readonly Hex[]) => void
  readonly start: (
    given?: Partial<GatewayOptions> & { workers?: number },
  ) => Promise<RunningGateway>
}

/** A folder with a file of keys, and gateways on it, one after the other. */
async function createPlace(operator: MeteredOperator): Promise<Place> {
  const folder = createGatewayFolder()
  const chargeKeysFile = join(folder, 'charge-keys')
  const agent = await startHeldDstack(folder)
  const started: RunningGateway[] = []
  onTestFinished(async () => {
    for (const gateway of started) await gateway.kill()
    await agent.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    agent,
    write: (...keys) => {
      writeFileSync(chargeKeysFile, `${keys.join('\n')}\n`, { mode: 0o600 })
    },
    start: async ({ workers = 1, ...given } = {}) => {
      const { attestation } = agent
      const options = createMeteredOptions(network, operator, {
        providerUrl: provider.url,
        folder,
        workers,
        chargeKeysFile,
        limits: { totalTimeoutMs: 60_000 },
        upto: null,
        batch: { maxUnclaimedAtomic: '1' },
      })
      const config = { ...options.config, attestation }
      const gateway = await startGateway({ ...options, ...given, config })
      started.push(gateway)
      return gateway
    },
  }
}

/** Each with a connection of its own: that of a worker which was killed serves nobody. */
const closingFetch: typeof fetch = (input, init) => {
  const request = new Request(input, init)
  request.headers.set('connection', 'close')
  return fetch(request)
}

/** Attests, judges that key 10 is held, and gives the keys that are named. */
async function attested({ url }: Pick<RunningGateway, 'url'>): Promise<readonly string[]> {
  const answer = await closingFetch(`${url}/v1/attestation?nonce=${plainNonce}`)
  const text = await answer.text()
  expect(answer.status, text).toBe(200)
  const given: {
    readonly keyset: string
    readonly confirmations: { readonly settlement: string }
  } = JSON.parse(text)
  const { payload } = parseStatement(fromBase64url(given.keyset) ?? new Uint8Array(0))
  if (payload.type !== 'keyset') throw new Error('no keyset')
  const { settlementAddress = '', otherChargeKeys = [] } = parseKeyset(payload.document)
  const context = Buffer.from('countersign/settlement-key-confirmation/v1')
  const { keysetDigest } = payload
  const raw = Buffer.concat([context, keysetDigest, Buffer.from(plainNonce, 'hex')])
  const signature = toHex(fromBase64url(given.confirmations.settlement) ?? new Uint8Array(0))
  const holder = await recoverAddress({ hash: hashMessage({ raw }), signature })
  expect(holder).toBe(settlementAddress)
  return [settlementAddress, ...otherChargeKeys]
}

/**
 * Attests again and again, until it is told to stop, and then says what was named, each once, in its order. Nothing may
 * ever fail; while a keyset waits for its evidence, so does an attestation: the hardware does one thing at a time.
 */
function attestOn(gateway: RunningGateway): () => Promise<readonly string[]> {
  const state = { isOver: false }
  const seen = new Set<string>()
  const running = (async () => {
    while (!state.isOver) {
      seen.add((await attested(gateway)).join(' '))
      await setTimeout(20)
    }
  })()
  // Told by the end.
  running.catch(() => undefined)
  return async () => {
    state.isOver = true
    await running
    return [...seen]
  }
}

/** A channel that is charged by one call after the other, each of which is claimed at once. */
function openChannel(): {
  /** Pays a call, waits for the claim of it, and says by which key it was signed. */
  readonly claimOnce: (gateway: RunningGateway) => Promise<string>
  /** Pays a call only. */
  readonly charge: (gateway: RunningGateway) => Promise<bigint>
  readonly claimed: () => Promise<bigint>
  /** Waits for a claim of so much, and says by which key it was signed. */
  readonly signerAt: (atomic: bigint) => Promise<string>
} {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const paidFetch = wrapFetchWithPayment(closingFetch, client)
  let channelId: Hex = '0x'
  const charge = async ({ url }: RunningGateway): Promise<bigint> => {
    const answer = await paidFetch(`${url}/v1/chat/completions`, { method: 'POST', body })
    expect(answer.status, await answer.clone().text()).toBe(200)
    const { extra } = decodePaymentResponseHeader(answer.headers.get('payment-response') ?? '')
    const state: { readonly channelId: Hex; readonly chargedCumulativeAmount: string } = JSON.parse(
      JSON.stringify(extra?.['channelState']),
    )
    channelId = state.channelId
    return BigInt(state.chargedCumulativeAmount)
  }
  const claimed = async (): Promise<bigint> => (await network.channelOf(channelId))[1]
  const signerAt = async (atomic: bigint): Promise<string> => {
    await until(async () => (await claimed()) === atomic, `a claim of ${atomic}`)
    const signer = await findClaimSigner(channelId, atomic)
    if (signer === undefined) throw new Error('the claim is not in a block')
    return signer
  }
  return {
    charge,
    claimed,
    signerAt,
    claimOnce: async (gateway) => signerAt(await charge(gateway)),
  }
}

/** Who signed the claim that brought a channel to this sum. */
async function findClaimSigner(channelId: Hex, atomic: bigint): Promise<string | undefined> {
  const { client } = network.chain
  const { batchSettlement } = baseSepoliaX402
  const domain = createBatchDomain(84_532n, `0x${batchSettlement.slice(2).toLowerCase()}`)
  const { number: head } = await client.getBlock()
  for (let blockNumber = head; blockNumber > 0n; blockNumber--) {
    const { transactions } = await client.getBlock({ blockNumber, includeTransactions: true })
    for (const { to, input } of transactions) {
      if (to?.toLowerCase() !== batchSettlement.toLowerCase()) continue
      const { functionName, args } = decodeFunctionData({ abi: batchSettlementAbi, data: input })
      if (functionName !== 'claimWithSignature') continue
      const [[claim], signature] = args
      if (claim === undefined || claim.totalClaimed !== atomic) continue
      const entry = {
        channelId,
        maxClaimableAtomic: claim.voucher.maxClaimableAmount,
        totalClaimedAtomic: atomic,
      }
      const digest = domain.hashClaimBatch([entry])
      const signer = curve.recoverAddress(digest, parseEvmSignature(signature))
      return getAddress(toHex(signer ?? new Uint8Array(20)))
    }
  }
  return undefined
}

/** Within a bound, since blocks take a second. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 45_000
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await setTimeout(50)
  }
}

async function setUp(): Promise<{
  readonly operator: MeteredOperator
  readonly place: Place
  readonly first: Hex
  readonly second: Hex
  readonly names: readonly [string, string]
}> {
  const operator = await network.createOperator()
  const first = operator.settlementKey
  const second = generatePrivateKey()
  await operator.trustKey(second)
  const place = await createPlace(operator)
  place.write(first)
  return {
    operator,
    place,
    first,
    second,
    names: [privateKeyToAddress(first), privateKeyToAddress(second)],
  }
}

test(
  'a key that takes over signs when the keyset that names it is current; the former attests until then',
  slow,
  async () => {
    const { place, second, names } = await setUp()
    const gateway = await place.start()
    const channel = openChannel()
    expect(await channel.claimOnce(gateway)).toBe(names[0])
    const stopAttesting = attestOn(gateway)
    place.write(second)
    const held = place.agent.hold()
    process.kill(gateway.pid, 'SIGHUP')
    const announce = await held.arrived()
    // The keyset that names the second is not there yet: the first one goes on, although it left the file.
    expect(await channel.claimOnce(gateway)).toBe(names[0])
    announce()
    const use = await held.arrived()
    // Announced, and in use; the keyset that names it first is on its way.
    expect(await channel.claimOnce(gateway)).toBe(names[1])
    expect(gateway.stderr()).not.toContain('configuration was reloaded')
    use()
    await gateway.logged('configuration was reloaded')
    held.end()
    expect(await attested(gateway)).toEqual([names[1]])
    expect(await channel.claimOnce(gateway)).toBe(names[1])
    expect(await stopAttesting()).toEqual([names[0], names.join(' '), names[1]])
  },
)

test(
  'killed before and after the announcement, a gateway begins anew, and signs by what its first keyset names',
  slow,
  async () => {
    const { operator, place, second, names } = await setUp()
    const gateway = await place.start()
    const channel = openChannel()
    await channel.claimOnce(gateway)
    place.write(second)
    let held = place.agent.hold()
    process.kill(gateway.pid, 'SIGHUP')
    await held.arrived()
    const owed = await channel.charge(gateway)
    await gateway.kill()
    held.end()
    const before = await channel.claimed()
    // The second key is the only one now: nothing of what is owed is signed before the keyset of the next start is there.
    held = place.agent.hold()
    const starting = place.start()
    const open = await held.arrived()
    // A block or two: what would be claimed has been.
    await operator.trustKey(generatePrivateKey())
    const during = await channel.claimed()
    open()
    held.end()
    const next = await starting
    // A claim that was journaled before the kill is sent as the same bytes; nothing else was signed meanwhile.
    const signer = await channel.signerAt(owed)
    if (during > before) expect(signer).toBe(names[0])
    expect(names).toContain(signer)
    expect(await attested(next)).toEqual([names[1]])
    expect(await channel.claimOnce(next)).toBe(names[1])
    // Back again, and killed when the keyset that names both is current.
    place.write(generatePrivateKey(), second)
    held = place.agent.hold()
    process.kill(next.pid, 'SIGHUP')
    const announce = await held.arrived()
    announce()
    await next.logged('configuration was reloaded')
    await next.kill()
    held.end()
    const last = await place.start()
    expect((await attested(last))[0]).toBe(names[1])
    expect(await channel.claimOnce(last)).toBe(names[1])
  },
)

test(
  'several workers announce a key before it signs, also when one is killed meanwhile',
  slow,
  async () => {
    const { place, second, names } = await setUp()
    const gateway = await place.start({ workers: 2 })
    const channel = openChannel()
    expect(await channel.claimOnce(gateway)).toBe(names[0])
    place.write(second)
    const held = place.agent.hold()
    process.kill(gateway.pid, 'SIGHUP')
    const one = await held.arrived()
    one()
    const other = await held.arrived()
    // One has its keyset, the other has not: both show those of before.
    expect(await channel.claimOnce(gateway)).toBe(names[0])
    const [, pid] = /"worker":1,"pid":([0-9]+),"msg":"a worker serves"/.exec(gateway.stderr()) ?? []
    process.kill(Number(pid), 'SIGKILL')
    other()
    held.end()
    await gateway.logged('configuration was reloaded')
    await gateway.logged('a worker serves', 3)
    const stopAttesting = attestOn(gateway)
    for (let time = 0; time < 4; time++) expect(await attested(gateway)).toEqual([names[1]])
    expect(await channel.claimOnce(gateway)).toBe(names[1])
    expect(await stopAttesting()).toEqual([names[1]])
  },
)

test(
  'a reload that all workers were too late for is given up, and the next one is taken',
  slow,
  async () => {
    const { place, first, second, names } = await setUp()
    const gateway = await place.start({
      workers: 2,
      program: hurriedProgram,
      nodeFlags: ['--conditions=source'],
    })
    process.kill(gateway.pid, 'SIGUSR2')
    await gateway.logged('the primary is in a hurry')
    place.write(second, first)
    const held = place.agent.hold()
    process.kill(gateway.pid, 'SIGHUP')
    const late = await held.arrived()
    await gateway.logged('configuration was not reloaded')
    late()
    const alsoLate = await held.arrived()
    alsoLate()
    held.end()
    expect(await attested(gateway)).toEqual([names[0]])
    process.kill(gateway.pid, 'SIGHUP')
    await gateway.logged('configuration was reloaded')
    expect(gateway.stderr()).not.toContain('cannot follow')
    for (let time = 0; time < 4; time++) {
      expect((await attested(gateway)).toSorted()).toEqual(names.toSorted())
    }
  },
)
