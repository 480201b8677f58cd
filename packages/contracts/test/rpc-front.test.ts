import { once } from 'node:events'
import { connect } from 'node:net'
import { createPublicClient, createWalletClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { expect, test } from 'vitest'
import {
  httpRequest,
  needsAnvil,
  payee,
  rpc,
  sender,
  senderKey,
  spawnChain,
  startLocalFront,
  temporaryDirectory,
} from './local-chain.ts'
import type { RpcReply } from './local-chain.ts'

const account = privateKeyToAccount(senderKey)
const funded = [`${sender}=1000000000000000000`]
const transfer = {
  chainId: 84_532,
  type: 'eip1559',
  nonce: 0,
  gas: 21_000n,
  to: payee,
  value: 1n,
  maxFeePerGas: 10_000_000_000n,
  maxPriorityFeePerGas: 1n,
} as const

test('refuses every method that signs, unlocks, rewrites or keeps state', needsAnvil, async () => {
  const { port } = await startLocalFront()
  const methods = [
    'anvil_dumpState',
    'anvil_impersonateAccount',
    'anvil_mine',
    'anvil_reset',
    'anvil_setBalance',
    'anvil_setCode',
    'debug_traceTransaction',
    'eth_newFilter',
    'eth_sendTransaction',
    'eth_sendRawTransactionSync',
    'eth_sendUnsignedTransaction',
    'eth_sign',
    'eth_signTransaction',
    'eth_signTypedData_v4',
    'eth_subscribe',
    'evm_mine',
    'evm_revert',
    'evm_setNextBlockTimestamp',
    'evm_snapshot',
    'hardhat_setStorageAt',
    'personal_sign',
    'txpool_content',
    'wallet_sendTransaction',
    '__proto__',
    'constructor',
    ' eth_call',
    'ETH_CALL',
  ]
  for (const method of methods) {
    const reply = await rpc(port, method, [])
    expect(reply.error?.code, method).toBe(-32_601)
    expect(reply.result, method).toBeUndefined()
  }
  expect((await rpc(port, 'eth_chainId')).result).toBe('0x14a34')
  expect((await rpc(port, 'net_version')).result).toBe('84532')
  expect((await rpc(port, 'eth_accounts')).result).toEqual([])
})

test(
  'answers a batch in its order, transactions that depend on one another included',
  needsAnvil,
  async () => {
    const { port } = await startLocalFront(funded)
    const nonces = Array.from({ length: 98 }, (_, index) => index)
    const raws = await Promise.all(
      nonces.map((nonce) => account.signTransaction({ ...transfer, nonce })),
    )
    const requests = [
      { jsonrpc: '2.0', id: 'first', method: 'eth_chainId' },
      ...raws.map((raw, id) => ({
        jsonrpc: '2.0',
        id,
        method: 'eth_sendRawTransaction',
        params: [raw],
      })),
      { jsonrpc: '2.0', id: null, method: 'anvil_mine', params: [] },
    ]
    expect(requests).toHaveLength(100)
    const { status, text } = await httpRequest(port, JSON.stringify(requests))
    expect(status).toBe(200)
    const replies: RpcReply[] = JSON.parse(text)
    expect(replies.map(({ id }) => id)).toEqual(['first', ...nonces, null])
    expect(replies.at(-1)?.error?.code).toBe(-32_601)
    for (const reply of replies.slice(1, -1)) expect(reply.error).toBeUndefined()
    const count = await rpc(port, 'eth_getTransactionCount', [sender, 'pending'])
    expect(count.result).toBe('0x62')
  },
)

test(
  'refuses batches that are empty or longer than 100, and what is no request',
  needsAnvil,
  async () => {
    const { port } = await startLocalFront()
    const request = { jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] }
    const cases: [string, number][] = [
      ['[]', -32_600],
      [JSON.stringify(Array.from({ length: 101 }, () => request)), -32_600],
      ['{', -32_700],
      ['', -32_700],
      ['"eth_chainId"', -32_600],
      ['null', -32_600],
      [JSON.stringify({ ...request, jsonrpc: '1.0' }), -32_600],
      [JSON.stringify({ ...request, id: undefined }), -32_600],
      [JSON.stringify({ ...request, id: {} }), -32_600],
      [JSON.stringify({ ...request, id: 'x'.repeat(257) }), -32_600],
      [JSON.stringify({ ...request, method: 7 }), -32_600],
      [JSON.stringify({ ...request, params: {} }), -32_602],
      [JSON.stringify({ ...request, method: 'eth_sendRawTransaction' }), -32_602],
      [JSON.stringify({ ...request, method: 'eth_sendRawTransaction', params: [7] }), -32_602],
      [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, -32_600],
    ]
    for (const [body, code] of cases) {
      const { status, text } = await httpRequest(port, body)
      expect(status).toBe(200)
      const reply: RpcReply | RpcReply[] = JSON.parse(text)
      const first = Array.isArray(reply) ? reply[0] : reply
      expect(first?.error?.code, body.slice(0, 80)).toBe(code)
    }
  },
)

test(
  'refuses other methods, media types, hosts and long bodies before reading them',
  needsAnvil,
  async () => {
    const { port } = await startLocalFront()
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] })
    const post = async (headers: Record<string, string>, text = body, method = 'POST') =>
      (await httpRequest(port, text, { method, headers })).status
    expect(await post({})).toBe(200)
    expect(await post({ host: `localhost:${port}` })).toBe(200)
    expect(await post({ 'content-type': 'application/json; charset=utf-8' })).toBe(200)
    expect(await post({ host: 'attacker.example' })).toBe(403)
    expect(await post({ host: `127.0.0.1:${port + 1}` })).toBe(403)
    expect(await post({ 'content-type': 'text/plain' })).toBe(415)
    expect(await post({ 'content-type': 'application/x-www-form-urlencoded' })).toBe(415)
    expect(await post({}, '', 'GET')).toBe(405)
    expect(await post({ 'access-control-request-method': 'POST' }, '', 'OPTIONS')).toBe(405)
    const limit = 2_000_000
    expect(await post({}, body.padEnd(limit))).toBe(200)
    expect(await post({ 'content-length': String(limit + 1) }, body.padEnd(limit + 1))).toBe(413)
    expect(await post({ 'transfer-encoding': 'chunked' }, body.padEnd(limit + 1))).toBe(413)
    const { text } = await httpRequest(port, body, {
      headers: { origin: 'https://attacker.example' },
    })
    expect(text).toContain('0x14a34')
  },
)

test('never lets a browser read an answer: there is no CORS header', needsAnvil, async () => {
  const { port } = await startLocalFront()
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nOrigin: https://attacker.example\r\n\r\n`,
  )
  const [first] = await once(socket, 'data')
  const head = String(first)
  expect(head).toMatch(/^HTTP\/1\.1 405 /)
  expect(head.toLowerCase()).not.toContain('access-control-')
  socket.destroy()
})

test(
  'says why a transaction is refused, and takes the same one twice as success',
  needsAnvil,
  async () => {
    const { port } = await startLocalFront(funded)
    const send = async (change: object) => {
      const raw = await account.signTransaction({ ...transfer, ...change })
      return rpc(port, 'eth_sendRawTransaction', [raw])
    }
    const first = await send({})
    expect(first.result).toMatch(/^0x[0-9a-f]{64}$/)
    expect((await send({})).result).toBe(first.result)
    const refused: [object, number, string][] = [
      [{ value: 2n }, -32_000, 'nonce too low'],
      [{ nonce: 2 }, -32_000, 'nonce too high'],
      [{ nonce: 1, value: 10n ** 18n }, -32_000, 'insufficient funds'],
      [{ nonce: 1, maxFeePerGas: 1n }, -32_000, 'max fee per gas less than block base fee'],
      [{ nonce: 1, chainId: 8453 }, -32_602, 'chain id'],
      [{ nonce: 1, gas: 20_000n }, -32_602, 'intrinsic'],
    ]
    for (const [change, code, message] of refused) {
      const { error } = await send(change)
      expect(error, message).toMatchObject({ code, message: expect.stringContaining(message) })
    }
    expect((await send({ nonce: 1 })).error).toBeUndefined()
  },
)

test('keeps the code and the data of a revert', needsAnvil, async () => {
  const { port } = await startLocalFront()
  // transfer(payee, 1) of a sender without tokens: BalanceTooLow()
  const data = `0xa9059cbb${payee.slice(2).toLowerCase().padStart(64, '0')}${'1'.padStart(64, '0')}`
  const call = { from: sender, to: '0x036CbD53842c5426634e7929541eC2318f3dCF7e', data }
  const { error } = await rpc(port, 'eth_call', [call, 'latest'])
  expect(error?.code).toBe(3)
  expect(error?.data).toMatch(/^0x[0-9a-f]{8}$/)
})

test('serves an unmodified viem client', needsAnvil, async () => {
  const { rpcUrl } = await spawnChain(temporaryDirectory(), ['--fund', ...funded])
  const options = { chain: baseSepolia, transport: http(rpcUrl), pollingInterval: 20 } as const
  const reader = createPublicClient(options)
  const wallet = createWalletClient({ ...options, account })
  const hash = await wallet.sendTransaction({ to: payee, value: 12_345n })
  const receipt = await reader.waitForTransactionReceipt({ hash })
  expect(receipt.status).toBe('success')
  expect(await reader.getBalance({ address: payee })).toBe(12_345n)
  const block = await reader.getBlock()
  expect(Number(block.timestamp) * 1000).toBeLessThanOrEqual(Date.now())
})
