import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findAnvil } from '../../contracts/src/chain/anvil-binary.ts'
import { startChain, type EmbeddedChain } from '../../contracts/src/chain/chain.ts'
import { parseBalances } from '../../contracts/src/chain/genesis.ts'
import { startRpcFront, type RpcFront } from '../../contracts/src/chain/rpc-front.ts'
import { createChainReader } from '@countersign/client'
import { openStateFile } from '@countersign/client/state-file'
import { keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readWord } from '../src/chain/contract-call.ts'
import { channelContractsOn } from '../src/pay/channel-contracts.ts'
import { createChannelRecord } from '../src/pay/channel-record.ts'
import { openClientState } from '../src/pay/client-state.ts'
import { encryptKeystore } from '../src/wallet/keystore.ts'
import { runInProcess, type Ended } from './kit/run-cli-process.ts'

const key = keccak256(toHex('payer of channels'))
const { address } = privateKeyToAccount(key)
const payer = `0x${address.slice(2).toLowerCase()}` as const
const usdc = '0x036cbd53842c5426634e7929541ec2318f3dcf7e'
const environment = { COUNTERSIGN_WALLET_PASSWORD: 'secret' }
const network = 'eip155:84532'
const config = {
  payer,
  payerAuthorizer: payer,
  receiver: `0x${'22'.repeat(20)}`,
  receiverAuthorizer: `0x${'33'.repeat(20)}`,
  token: usdc,
  withdrawDelaySeconds: 900n,
  salt: `0x${'00'.repeat(32)}`,
} as const
const channelId = channelContractsOn(network).domain.hashChannelId(config)
const folder = mkdtempSync(join(tmpdir(), 'countersign-channels-'))
const keystore = join(folder, 'wallet.json')
const statePath = join(folder, 'state.json')
let clockMs = Date.now()
let chain: EmbeddedChain
let front: RpcFront
let rpcUrl: string

beforeAll(async () => {
  chain = await startChain(
    {
      directory: join(folder, 'chain'),
      balances: {
        wei: parseBalances([`${address}=${10n ** 18n}`]),
        usdcAtomic: parseBalances([`${address}=50000`]),
      },
      anvilBinary: findAnvil(process.env),
      snapshotEveryRecords: 256,
      heartbeatMs: 30_000,
    },
    // A second passes at each look: blocks never wait for real time.
    { nowMs: () => (clockMs += 1000), log: () => undefined },
  )
  front = await startRpcFront(chain, 0)
  rpcUrl = `http://127.0.0.1:${front.port}`
  const text = await encryptKeystore(Buffer.from(key.slice(2), 'hex'), Buffer.from('secret'), 1024)
  writeFileSync(keystore, text, { mode: 0o600 })
  const file = await openStateFile(statePath)
  const state = await openClientState(file)
  const identity = { channelId, config, origin: 'http://127.0.0.1', network }
  state.channels.set(channelId, { ...createChannelRecord(identity), signedAtomic: 1n })
  await state.durable()
  await file.close()
})
afterAll(async () => {
  await front.close()
  await chain.close()
  rmSync(folder, { recursive: true })
})

function run(...args: readonly string[]): Promise<Ended> {
  const shared = ['--state', statePath, '--keystore', keystore, '--rpc', rpcUrl]
  return runInProcess(['channel', ...args, ...shared], environment, () => clockMs)
}

function approve(amount: string): Promise<Ended> {
  const args = ['wallet', 'approve', '--keystore', keystore, '--rpc', rpcUrl, '--amount', amount]
  return runInProcess(args, environment)
}

function balance(): Promise<bigint> {
  return readWord(createChainReader(rpcUrl), usdc, 'balanceOf(address)', [payer])
}

test('money goes into a channel, and comes back after the delay without anybody else', async () => {
  const topped = await run('top-up', channelId, '--amount', '20000', '--unchecked')
  expect(topped, topped.err).toMatchObject({ code: 0 })
  expect(await balance()).toBe(30_000n)
  const listed = await run('list', '--json')
  expect(JSON.parse(listed.out)).toMatchObject({
    channelId,
    chain: { balanceAtomic: '20000', claimedAtomic: '0' },
  })
  const asked = await run('withdraw', channelId)
  expect(asked, asked.err).toMatchObject({ code: 2 })
  expect((await run('withdraw', channelId)).out).toMatch(/20000 asked back; \d+ s to wait/)
  expect((await run('list')).out).toContain('20000 asked back')
  clockMs += 901_000
  // The node estimates by the time of its latest block: any transaction brings a new one.
  await approve('1')
  const done = await run('withdraw', channelId)
  expect(done, done.err).toMatchObject({ code: 0 })
  expect(await balance()).toBe(50_000n)
})

test('a deposit is refused unless somebody has judged who is paid', async () => {
  const unjudged = await run('top-up', channelId, '--amount', '1000')
  expect(unjudged).toMatchObject({ code: 64 })
  const operator = join(folder, 'operator.json')
  const terms = {
    network,
    gatewayId: `0x${'44'.repeat(32)}`,
    payeeOwner: payer,
    proposers: [payer],
    guardian: payer,
    minDelaySeconds: 3600,
  }
  writeFileSync(operator, JSON.stringify(terms))
  const judged = await run('top-up', channelId, '--amount', '1000', '--operator', operator)
  expect(judged.code).toBe(69)
  expect(judged.err).toContain('payee-foreign')
  writeFileSync(operator, JSON.stringify({ ...terms, guardian: 'nobody' }))
  const malformed = await run('top-up', channelId, '--amount', '1000', '--operator', operator)
  expect(malformed.err).toContain('state-malformed')
  expect(await balance()).toBe(50_000n)
})

test('another key and another channel are refused before anything is sent', async () => {
  const other = `0x${'99'.repeat(32)}`
  expect((await run('withdraw', other)).code).toBe(64)
  const wrong = join(folder, 'other.json')
  const text = await encryptKeystore(Buffer.alloc(32, 7), Buffer.from('secret'), 1024)
  writeFileSync(wrong, text, { mode: 0o600 })
  const args = ['channel', 'withdraw', channelId, '--state', statePath, '--rpc', rpcUrl]
  const ended = await runInProcess([...args, '--keystore', wrong], environment, () => clockMs)
  expect(ended.code).toBe(64)
  expect(ended.err).toContain('the key is of')
})

test('the wallet approves Permit2 for what it is told', async () => {
  const ended = await approve('777')
  expect(ended, ended.err).toMatchObject({ code: 0 })
  const permit2 = '0x000000000022d473030f116ddee9f6b43ac78ba3'
  const words = [payer, permit2] as const
  const reader = createChainReader(rpcUrl)
  expect(await readWord(reader, usdc, 'allowance(address,address)', words)).toBe(777n)
})
