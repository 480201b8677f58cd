/** What an operator does with the money of channels: the ledger of a stopped gateway, and the way from the contract to the payee's owner. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { wrapFetchWithPayment } from '@x402/fetch'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runInProcess, type Ended } from '../packages/client/test/kit/run-cli-process.ts'
import { encryptKeystore } from '../packages/client/src/wallet/keystore.ts'
import { administerLedger } from '../packages/gateway/src/payment/ledger-admin.ts'
import { openDurableLedger } from '../packages/gateway/src/payment/ledger/durable-ledger.ts'
import {
  chatBody,
  createMeteredClient,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from '../packages/gateway/test/payment/metered-network.ts'
import { createGatewayFolder } from '../packages/gateway/test/support/start-gateway.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from './provider/start.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
})
afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

type Lines = { readonly code: 0 | 1 | undefined; readonly lines: readonly unknown[] }

/** Runs one command on the ledger of this gateway. */
async function administer(
  folder: string,
  operator: MeteredOperator,
  ...command: readonly string[]
): Promise<Lines> {
  const lines: unknown[] = []
  const code = await administerLedger(
    ['--config', join(folder, 'countersign.config.json'), ...command],
    {
      environment: { COUNTERSIGN_SETTLEMENT_KEY: operator.settlementKey },
      clock: Date.now,
      write: (line) => lines.push(JSON.parse(line)),
    },
  )
  return { code, lines }
}

/** A gateway that sold one call on a channel and was stopped; what it charged is not claimed. */
async function sellOneCall(): Promise<{
  readonly folder: string
  readonly operator: MeteredOperator
  readonly channelId: Hex
  readonly chargedAtomic: bigint
}> {
  const folder = createGatewayFolder()
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  const operator = await network.createOperator()
  const options = { providerUrl: provider.url, folder, exact: true }
  const gateway = await startMeteredGateway(network, operator, options)
  onTestFinished(async () => {
    await gateway.stop()
  })
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const answer = await wrapFetchWithPayment(fetch, client)(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    body: chatBody('loopback-echo', false),
  })
  expect(answer.status).toBe(200)
  await answer.text()
  await expect(administer(folder, operator, 'show')).rejects.toThrow('another process')
  await gateway.stop()
  const { lines } = await administer(folder, operator, 'show')
  const [channel] = lines
  const sums = lines.at(-1)
  expect(sums).toMatchObject({ channels: 1, frozen: 0, owedReceipts: 0, unsettledUptoAtomic: '0' })
  const { channelId, chargedAtomic, claimedAtomic } = Object(channel)
  expect(claimedAtomic).toBe('0')
  expect(Object(sums).unclaimedAtomic).toBe(chargedAtomic)
  expect(BigInt(chargedAtomic)).toBeGreaterThan(0n)
  return { folder, operator, channelId, chargedAtomic: BigInt(chargedAtomic) }
}

test('a frozen channel is thawed on the ledger of a stopped gateway, and what it owes is claimed', async () => {
  const { folder, operator, channelId, chargedAtomic } = await sellOneCall()
  // As if the contract had refused the voucher once.
  const ledger = await openDurableLedger({
    directory: join(folder, 'data/ledger'),
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  expect(ledger.apply({ type: 'channel-frozen', channelId })).toEqual({ kind: 'accepted' })
  await ledger.close()
  expect(await administer(folder, operator, 'claim')).toMatchObject({
    code: 1,
    lines: [{ channelId, claimedAtomic: '0', frozen: true }],
  })
  const unknown = `0x${'ab'.repeat(32)}`
  expect(await administer(folder, operator, 'reexamine', unknown)).toEqual({
    code: 1,
    lines: [{ channelId: unknown, kind: 'unknown' }],
  })
  const thawed = { code: 0, lines: [{ channelId, kind: 'thawed' }] }
  expect(await administer(folder, operator, 'reexamine', channelId)).toEqual(thawed)
  expect(await administer(folder, operator, 'reexamine', channelId)).toEqual({
    code: 0,
    lines: [{ channelId, kind: 'not-frozen' }],
  })
  expect(await administer(folder, operator, 'claim')).toMatchObject({
    code: 0,
    lines: [{ channelId, claimedAtomic: `${chargedAtomic}`, unclaimedAtomic: '0', frozen: false }],
  })
  expect((await network.channelOf(channelId))[1]).toBe(chargedAtomic)
  expect((await administer(folder, operator, 'show', 'more')).code).toBeUndefined()
  expect((await administer(folder, operator, 'reexamine', '0x1')).code).toBeUndefined()
})

test('what was claimed comes to the owner of the payee, by anybody’s key', async () => {
  const { folder, operator, chargedAtomic } = await sellOneCall()
  const config = join(folder, 'countersign.config.json')
  const keys = { COUNTERSIGN_SETTLEMENT_KEY: operator.settlementKey }
  // Trusted by the registry, and named by no keyset.
  const environment = { ...keys, COUNTERSIGN_CHARGE_KEY: await operator.attestKey() }
  const unnamed = administerLedger(['--config', config, 'claim'], {
    environment,
    clock: Date.now,
    write: () => undefined,
  })
  await expect(unnamed).rejects.toThrow('no keyset of this gateway names')
  const claimed = await runInProcess(['ledger', 'claim', '--config', config], keys)
  expect([claimed.code, claimed.err]).toEqual([0, ''])
  const key = network.chain.nextSettlementKey()
  const keystore = join(folder, 'wallet.json')
  const secret = await encryptKeystore(
    Buffer.from(key.slice(2), 'hex'),
    Buffer.from('secret'),
    1024,
  )
  writeFileSync(keystore, secret, { mode: 0o600 })
  const payee = (action: string): Promise<Ended> =>
    runInProcess(
      ['payee', action, operator.payee, '--rpc', network.chain.rpcUrl, '--keystore', keystore],
      { COUNTERSIGN_WALLET_PASSWORD: 'secret' },
    )
  const { payeeOwner: owner } = operator.terms
  const shown = await payee('show')
  expect(shown.out).toContain(`in the batch contract  ${chargedAtomic}\n`)
  expect(shown.out).toContain(`owner of the payee     ${owner.toLowerCase()}\n`)
  const before = await network.balanceOf(owner)
  const collected = await payee('collect')
  expect([collected.code, collected.err]).toEqual([0, ''])
  expect(collected.out).toMatch(
    /^settled \d+ to 0x[0-9a-f]{40} in 0x[0-9a-f]{64}\nforwarded \d+ to/,
  )
  expect(await network.balanceOf(owner)).toBe(before + chargedAtomic)
  expect((await payee('collect')).out).toBe('nothing to collect\n')
  expect((await runInProcess(['payee', 'collect', '0x1'], {})).code).toBe(64)
  expect((await runInProcess(['ledger', 'thaw'], {})).code).toBe(64)
})
