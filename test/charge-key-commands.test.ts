/** The commands for charge keys: the guide's own lines, against a gateway, a chain and a timelock with a delay. */
import { execFile } from 'node:child_process'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { wrapFetchWithPayment } from '@x402/fetch'
import { decodePaymentResponseHeader } from '@x402/core/http'
import type { Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runInProcess, type Ended } from '../packages/client/test/kit/run-cli-process.ts'
import { encryptKeystore } from '../packages/client/src/wallet/keystore.ts'
import {
  chatBody,
  createMeteredClient,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
} from '../packages/gateway/test/payment/metered-network.ts'
import {
  createGatewayFolder,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from './provider/start.ts'
import { repositoryRoot } from './tools/source-tree.ts'

const slow = { timeout: 240_000 }
const delaySeconds = 4
const cli = join(repositoryRoot, 'packages/client/src/cli/main.ts')
const guide = readFileSync(join(repositoryRoot, 'docs/guides/charge-keys.md'), 'utf8')
const blocks = Array.from(guide.matchAll(/^```sh\n([^]*?)^```$/gm), ([, block]) => block ?? '')

let network: MeteredNetwork
let provider: LoopbackProvider
beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider()
}, 60_000)
afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

/** The block of the guide that has this command. */
function blockWith(text: string): string {
  const found = blocks.filter((block) => block.includes(text))
  expect(found, text).toHaveLength(1)
  return found[0] ?? ''
}

// What the guide calls, where it may not be installed: a checkout, and a machine without curl.
const tools = `set -e
countersign() { "$NODE" --conditions=source "$CLI" "$@"; }
curl() { "$NODE" -e 'fetch(process.argv[1]).then(async (a) => process.stdout.write(await a.text()))' "$2"; }
`

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await setTimeout(100)
  }
}

type Day = {
  readonly folder: string
  readonly file: string
  /** The operator's machine and the gateway's are one here. */
  readonly sh: (block: string) => Promise<string>
  readonly command: (...args: readonly string[]) => Promise<Ended>
  readonly onChain: readonly string[]
  readonly nextKey: () => string
  readonly stateOf: (address: string) => Promise<unknown>
  readonly isWaiting: (address: string) => Promise<boolean>
  readonly start: () => Promise<RunningGateway>
}

async function createDay(): Promise<Day> {
  const folder = createGatewayFolder()
  const operator = await network.createOperator(delaySeconds)
  const { rpcUrl } = network.chain
  const file = join(folder, 'charge-keys')
  const secret = Buffer.from(operator.ownerKey.slice(2), 'hex')
  const keystore = await encryptKeystore(secret, Buffer.from('secret'), 1024)
  writeFileSync(join(folder, 'operator.json'), keystore, { mode: 0o600 })
  let gateway: RunningGateway | undefined
  onTestFinished(async () => {
    await gateway?.kill()
    rmSync(folder, { recursive: true, force: true })
  })
  const sh = async (block: string): Promise<string> => {
    const { stdout } = await promisify(execFile)('sh', ['-c', tools + block], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        NODE: process.execPath,
        CLI: cli,
        RPC: rpcUrl,
        GATEWAY: gateway?.url ?? '',
        COUNTERSIGN_WALLET_PASSWORD: 'secret',
      },
    })
    return stdout
  }
  const nextKey = (): string => readFileSync(join(folder, 'next-key'), 'utf8').trim()
  const command = (...args: readonly string[]): Promise<Ended> =>
    runInProcess(['charge-keys', ...args], { COUNTERSIGN_OPERATOR_KEY: operator.ownerKey })
  const onChain = ['--terms', join(folder, 'terms.json'), '--rpc', rpcUrl]
  const stateOf = async (address: string): Promise<unknown> => {
    const { out, err } = await command('show', address, ...onChain, '--file', file, '--json')
    expect(err).toBe('')
    const { keys }: { readonly keys: readonly object[] } = JSON.parse(out)
    return keys[0]
  }
  return {
    folder,
    file,
    sh,
    command,
    onChain,
    nextKey,
    stateOf,
    isWaiting: async (address) => JSON.stringify(await stateOf(address)).includes('announced'),
    start: async () => {
      gateway = await startMeteredGateway(network, operator, {
        providerUrl: provider.url,
        folder,
        chargeKeysFile: file,
        limits: { totalTimeoutMs: 60_000 },
        upto: null,
        batch: { maxUnclaimedAtomic: '1' },
      })
      return gateway
    },
  }
}

/** Pays a call and waits until what the channel was charged in all is claimed. */
function createPayer(): (gateway: RunningGateway) => Promise<void> {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  return async ({ url }) => {
    const answer = await wrapFetchWithPayment(fetch, client)(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: chatBody('loopback-echo', false),
    })
    expect(answer.status, await answer.clone().text()).toBe(200)
    const { extra } = decodePaymentResponseHeader(answer.headers.get('payment-response') ?? '')
    const state: { readonly channelId: Hex; readonly chargedCumulativeAmount: string } = JSON.parse(
      JSON.stringify(extra?.['channelState']),
    )
    const charged = BigInt(state.chargedCumulativeAmount)
    const claimed = async (): Promise<boolean> =>
      (await network.channelOf(state.channelId))[1] === charged
    await until(claimed, 'a claim')
  }
}

/** What a multisig takes: nothing was sent, and the key can still be announced. */
function expectShown(text: string, key: string): void {
  const shown: unknown = JSON.parse(text)
  expect(shown).toMatchObject({ action: 'schedule', address: key.toLowerCase(), value: '0' })
  expect(shown).not.toHaveProperty('hash')
}

test(
  'the guide: a key is made, announced, registered after the delay, signs, and what it claims lands',
  slow,
  async () => {
    const { folder, file, sh, command, onChain, nextKey, stateOf, isWaiting, start } =
      await createDay()
    const announcing = blockWith('--gateway "$GATEWAY" --keystore')

    // The first day: nothing is registered, and nothing sold.
    expect(await sh(blockWith('charge-keys make'))).toBe('')
    const first = nextKey()
    const text = readFileSync(file, 'utf8')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const [line] = text.split('\n')
    expect(privateKeyToAddress(`0x${line?.slice(2) ?? ''}`)).toBe(first)
    const running = await start()
    await sh(blockWith('curl -s'))
    expect(await stateOf(first)).toEqual({
      address: first.toLowerCase(),
      inFile: true,
      mayDo: 'nothing',
      why: 'not registered',
    })
    expectShown(await sh(blockWith('--gateway "$GATEWAY" --calls')), first)
    expect(await sh(announcing)).toMatch(/^schedule 0x[0-9a-f]{40}: 0x/)
    const again = await command('schedule', first, ...onChain, '--gateway', running.url)
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('is announced already')])
    const early = await command('execute', first, ...onChain)
    if (early.code !== 0) expect(early.err).toContain('is not due before')
    await until(async () => !(await isWaiting(first)), 'due')
    if (early.code !== 0) await sh(blockWith('charge-keys execute'))
    expect(await sh(blockWith('charge-keys show'))).toContain(
      `${first.toLowerCase()}  charge: good, in the file`,
    )
    await running.logged('"isSelling":true')
    const pay = createPayer()
    await pay(running)

    // The second day. A key that no keyset names is not announced.
    await sh(blockWith('charge-keys make'))
    const second = nextKey()
    const unnamed = await command('schedule', second, ...onChain, '--gateway', running.url)
    expect([unnamed.code, unnamed.err]).toEqual([
      1,
      expect.stringContaining('no keyset of the gateway names'),
    ])
    process.kill(running.pid, 'SIGHUP')
    await running.logged('configuration was reloaded')
    await sh(announcing)
    await until(async () => !(await isWaiting(second)), 'due')
    const executed = await command('execute', second, ...onChain, '--json')
    expect([executed.code, executed.err]).toEqual([0, ''])
    expect(JSON.parse(executed.out)).toMatchObject({
      action: 'execute',
      chainId: 84_532,
      value: '0',
    })
    process.kill(running.pid, 'SIGHUP')
    await running.logged('configuration was reloaded', 2)
    const named = running
      .stderr()
      .lastIndexOf(`"address":"${second}","standing":"good","isAnnounced":true`)
    expect(named).toBeGreaterThan(0)
    // Only the second one counts from here on.
    const since = ['--since', '2020-01-01T00:00:00Z']
    const revoked = await command('revoke', first, ...onChain, ...since)
    expect([revoked.code, revoked.err]).toEqual([0, ''])
    expect(await stateOf(first)).toMatchObject({ mayDo: 'nothing', why: 'revoked' })
    await pay(running)

    expect(readFileSync(join(folder, 'old-key'), 'utf8').trim()).toBe(first)
    expect(await sh(blockWith('charge-keys drop'))).toContain('is gone from charge-keys')
    process.kill(running.pid, 'SIGHUP')
    await running.logged('configuration was reloaded', 3)
    await pay(running)

    // Stolen, perhaps: the guardian's word, and nothing is sold any more.
    const [stolen = ''] = blocks.slice(-1)
    expect(await sh(stolen)).toMatch(/^revoke 0x[0-9a-f]{40}: 0x/)
    process.kill(running.pid, 'SIGHUP')
    await running.logged('configuration was reloaded', 4)
    expect(await (await fetch(`${running.url}/readyz`)).text()).toContain('charge-key-untrusted')
  },
)
