/** Clients of OpenGradient that look for their node in a registry find an attested gateway. */
import { request as httpsRequest } from 'node:https'
import { createPublicClient, http, keccak256, type Hex, type PublicClient } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runCli } from '../packages/client/src/cli/run-cli.ts'
import { createTerminal } from '../packages/client/src/cli/terminal.ts'
import { registryAbi } from '../packages/client/src/registry/registry-abi.ts'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import { openGradientHeaders } from '../packages/gateway/test/support/open-gradient-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  gateway = await start()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

function start(): Promise<RunningGateway> {
  const listen = { port: 0, tls: { names: ['gateway.example'] } }
  return startGateway({ provider, config: { listen, profiles: { openGradient: {} } } })
}

/** As the SDK has it, written down by hand: the names and types of all members decide what is read. */
const abiOfSdk = [
  {
    type: 'function',
    name: 'getActiveTEEs',
    stateMutability: 'view',
    inputs: [{ name: 'teeType', type: 'uint8' }],
    outputs: [
      {
        name: '',
        type: 'tuple[]',
        components: [
          { name: 'owner', type: 'address' },
          { name: 'paymentAddress', type: 'address' },
          { name: 'endpoint', type: 'string' },
          { name: 'publicKey', type: 'bytes' },
          { name: 'tlsCertificate', type: 'bytes' },
          { name: 'pcrHash', type: 'bytes32' },
          { name: 'teeType', type: 'uint8' },
          { name: 'enabled', type: 'bool' },
          { name: 'registeredAt', type: 'uint256' },
          { name: 'lastHeartbeatAt', type: 'uint256' },
        ],
      },
    ],
  },
] as const
/** Where theirs is; there is only one contract here. */
const address = '0x4e72238852f3c918f4e4e57aec9280ddb0c80248'
const stranger: Hex = `0x${'11'.repeat(32)}`

type Registry = { readonly client: PublicClient; readonly url: string; readonly told: () => string }

async function startRegistry(...args: readonly string[]): Promise<Registry> {
  const interruption = new AbortController()
  const ready = Promise.withResolvers<string>()
  let told = ''
  const stdout = {
    write: (text: string): void => {
      const [url] = /http:\S+/.exec(text) ?? []
      if (url !== undefined) ready.resolve(url)
    },
  }
  const stderr = {
    write: (text: string): void => {
      told += text
    },
  }
  const ended = runCli(['registry', '--port', '0', ...args], {
    terminal: createTerminal({ stdout, stderr }, {}),
    environment: {},
    nowMs: Date.now,
    interrupted: interruption.signal,
  })
  onTestFinished(async () => {
    interruption.abort()
    expect(await ended).toBe(0)
  })
  const url = await ready.promise
  return { url, client: createPublicClient({ transport: http(url) }), told: () => told }
}

/** The connection of the SDK: it trusts the listed certificate and nothing else, and asks for no name. */
async function callPinned(origin: string, certificate: Hex, body: string): Promise<string> {
  const der = Buffer.from(certificate.slice(2), 'hex').toString('base64')
  const ca = `-----BEGIN CERTIFICATE-----\n${der.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      headers: openGradientHeaders,
      ca,
      agent: false,
      checkServerIdentity: () => undefined,
    }
    const sent = httpsRequest(`${origin}/v1/chat/completions`, options, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      answer.once('end', () => {
        resolve(text)
      })
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

test('its SDK finds the gateway, pins its certificate and gets an answer signed by the listed key', async () => {
  const { client, told } = await startRegistry(gateway.url)
  const read = { address, abi: abiOfSdk, functionName: 'getActiveTEEs' } as const
  const nodes = await client.readContract({ ...read, args: [0] })
  expect(nodes, told()).toHaveLength(1)
  const [node] = nodes
  if (node === undefined) throw new Error('no node')
  expect(node).toMatchObject({ endpoint: gateway.url, teeType: 0, enabled: true })
  expect(Number(node.lastHeartbeatAt) * 1000).toBeGreaterThan(Date.now() - 60_000)
  const messages = [{ role: 'user', content: 'Why?' }]
  const body = JSON.stringify({ model: 'loopback-echo', messages, max_tokens: 100, temperature: 0 })
  const answer: { readonly tee_id?: unknown; readonly choices?: unknown } = JSON.parse(
    await callPinned(node.endpoint, node.tlsCertificate, body),
  )
  expect(answer.choices).toHaveLength(1)
  expect(answer.tee_id).toBe(keccak256(node.publicKey))
  // Validators are of type 1: none is here.
  expect(await client.readContract({ ...read, args: [1] })).toEqual([])

  const byId = { address, abi: registryAbi } as const
  const teeId = keccak256(node.publicKey)
  for (const functionName of ['getTEEsByType', 'getEnabledTEEs'] as const) {
    expect(await client.readContract({ ...byId, functionName, args: [0] })).toEqual([teeId])
    expect(await client.readContract({ ...byId, functionName, args: [1] })).toEqual([])
  }
  const one = { ...byId, args: [teeId] } as const
  expect(await client.readContract({ ...one, functionName: 'getTEE' })).toEqual(node)
  expect(await client.readContract({ ...one, functionName: 'getTEEPublicKey' })).toBe(
    node.publicKey,
  )
  const other = { ...byId, args: [stranger] } as const
  for (const functionName of ['isTEEActive', 'isTEEEnabled'] as const) {
    expect(await client.readContract({ ...one, functionName })).toBe(true)
    expect(await client.readContract({ ...other, functionName })).toBe(false)
  }
  expect(await client.readContract({ ...other, functionName: 'getTEEPublicKey' })).toBe('0x')
  const unknown = client.readContract({ ...other, functionName: 'getTEE' })
  await expect(unknown).rejects.toThrow('TEENotFound()')
})

test('what the policy refuses or does not answer is not listed, and the reason is said', async () => {
  const read = { address, abi: registryAbi, functionName: 'getEnabledTEEs', args: [0] } as const
  const strict = await startRegistry(gateway.url, '--policy', 'production')
  expect(await strict.client.readContract(read)).toEqual([])
  expect(strict.told()).toMatch(/^https:\S+ is not listed: .*policy/)

  const second = await start()
  const both = await startRegistry(gateway.url, second.url, '--fresh', '1')
  expect(await both.client.readContract(read), both.told()).toHaveLength(2)
  await disposeGateway(second)
  // It stays listed while its attestation is fresh: at most a second.
  let listed = 2
  while (listed > 1) listed = (await both.client.readContract(read)).length
  expect(both.told()).toContain(`${second.url} is not listed`)
})

test('it is no chain: nothing else is answered', async () => {
  const { url } = await startRegistry(gateway.url)
  const ask = async (method: string, params: readonly unknown[]): Promise<unknown> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const headers = { 'content-type': 'application/json' }
    return (await fetch(url, { method: 'POST', headers, body })).json()
  }
  const codes = [
    ['eth_chainId', [], -32_601],
    ['eth_sendRawTransaction', ['0x00'], -32_601],
    ['eth_call', [], -32_602],
    ['eth_call', [{ data: 'no hex' }, 'latest'], -32_602],
    ['eth_call', [{ data: '0x' }, 'latest'], 3],
    ['eth_call', [{ data: '0x12345678' }, 'latest'], 3],
    // A selector without its argument.
    ['eth_call', [{ input: '0x5f0b1f5a' }, 'latest'], 3],
  ] as const
  for (const [method, params, code] of codes) {
    expect(await ask(method, params)).toMatchObject({ error: { code } })
  }
})
