import {
  BATCH_SETTLEMENT_ADDRESS,
  ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
  PERMIT2_ADDRESS,
  eip3009ABI,
  x402ExactPermit2ProxyABI,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyABI,
  x402UptoPermit2ProxyAddress,
} from '@x402/evm'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  concatHex,
  createPublicClient,
  createWalletClient,
  custom,
  getContractAddress,
  pad,
  size,
  sliceHex,
  toEventSelector,
  toFunctionSelector,
  toFunctionSignature,
} from 'viem'
import type { Abi, AbiFunction, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { expect, onTestFinished, test } from 'vitest'
import { baseSepoliaUsdc, baseSepoliaX402, baseX402, x402On } from '../src/addresses.ts'
import { findAnvil } from '../src/chain/anvil-binary.ts'
import { startAnvil } from '../src/chain/anvil-process.ts'
import {
  batchSettlementAbi,
  batchSettlementCreationCode,
} from '../src/generated/batch-settlement.ts'
import { erc3009DepositCollectorCreationCode } from '../src/generated/erc3009-deposit-collector.ts'
import {
  exactPermit2ProxyAbi,
  exactPermit2ProxyCreationCode,
} from '../src/generated/exact-permit2-proxy.ts'
import { multicall3CreationCode } from '../src/generated/multicall3.ts'
import { permit2DepositCollectorCreationCode } from '../src/generated/permit2-deposit-collector.ts'
import { permit2Abi, permit2Deployment, permit2RuntimeCode } from '../src/generated/permit2.ts'
import { testUsdcAbi } from '../src/generated/test-usdc.ts'
import {
  uptoPermit2ProxyAbi,
  uptoPermit2ProxyCreationCode,
} from '../src/generated/upto-permit2-proxy.ts'
import {
  needsAnvil,
  sender,
  senderKey,
  startLocalChain,
  temporaryDirectory,
} from './local-chain.ts'

const addresses = baseSepoliaX402
const gas = 1_000_000_000_000_000_000n

test('the addresses are those of the stock client, on both chains', () => {
  expect(addresses.permit2).toBe(PERMIT2_ADDRESS)
  expect(addresses.exactPermit2Proxy).toBe(x402ExactPermit2ProxyAddress)
  expect(addresses.uptoPermit2Proxy).toBe(x402UptoPermit2ProxyAddress)
  expect(addresses.batchSettlement).toBe(BATCH_SETTLEMENT_ADDRESS)
  expect(addresses.erc3009DepositCollector).toBe(ERC3009_DEPOSIT_COLLECTOR_ADDRESS)
  expect(x402On(8453)).toEqual({ ...addresses, chainId: 8453 })
  expect(baseX402.chainId).toBe(8453)
  expect(x402On(1)).toBeUndefined()
})

test('everything that the stock ABIs of the proxies and the token name is in ours', () => {
  const pairs: readonly (readonly [Abi, Abi])[] = [
    [x402ExactPermit2ProxyABI, exactPermit2ProxyAbi],
    [x402UptoPermit2ProxyABI, uptoPermit2ProxyAbi],
    [eip3009ABI, testUsdcAbi],
  ]
  for (const [stock, ours] of pairs) {
    const known = new Set(ours.map(describe))
    const named = stock.map(describe)
    expect(named.filter((item) => !known.has(item))).toEqual([])
    expect(named.length).toBeGreaterThan(4)
  }
})

test('batch settlement has the selectors and topics that indexers and facilitators know', () => {
  const selectors = new Set(batchSettlementAbi.map(describe))
  const expected = [
    'deposit 0x140f1e75',
    'claim 0x29237b0c',
    'claimWithSignature 0xe43ce1f2',
    'settle 0x9db32a8f',
    'refund 0xdce4bfae',
    'refundWithSignature 0xb77433e9',
    'initiateWithdraw 0xcf5cf3dc',
    'finalizeWithdraw 0xe88377b1',
    'multicall 0xac9650d8',
    'getChannelId 0x5e5e0b87',
    'getVoucherDigest 0x862bb199',
    'getRefundDigest 0xe25cf189',
    'getClaimBatchDigest 0x488ccc3b',
    'channels 0x7a7ebd7b',
    'pendingWithdrawals 0xb7f06ebe',
    'refundNonce 0xf0dc792e',
    'receivers 0x21ff6389',
  ]
  const functions = batchSettlementAbi.filter((item) => item.type === 'function')
  const found = new Set(functions.map((item) => `${item.name} ${toFunctionSelector(item)}`))
  expect(expected.filter((item) => !found.has(item))).toEqual([])
  const created = batchSettlementAbi.find(
    (item) => item.type === 'event' && item.name === 'ChannelCreated',
  )
  expect(created?.type === 'event' && toEventSelector(created).slice(0, 10)).toBe('0x69d8248d')
  expect(selectors.size).toBe(batchSettlementAbi.length)
})

test(
  'the contracts hash as the golden payments of the stock client were hashed',
  needsAnvil,
  async () => {
    const { reader } = await openChain()
    const batch = { address: addresses.batchSettlement, abi: batchSettlementAbi } as const
    const config = {
      payer: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      payerAuthorizer: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      receiver: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
      receiverAuthorizer: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
      token: baseSepoliaUsdc.address,
      withdrawDelay: 900,
      salt: `0x${'0'.repeat(64)}`,
    } as const
    const id = '0xe94a435ba5c4a651c4c975bc5e2a208275f95d4199785ab0d7fbbf56bc9469ec'
    expect(
      await reader.readContract({ ...batch, functionName: 'getChannelId', args: [config] }),
    ).toBe(id)
    expect(
      await reader.readContract({
        ...batch,
        functionName: 'getVoucherDigest',
        args: [id, 50_000n],
      }),
    ).toBe('0x0f2b75b4828818f6294a290387e4ccdfea0ff761554d308ab58caf2d43c58946')
    expect(
      await reader.readContract({
        ...batch,
        functionName: 'getRefundDigest',
        args: [id, 0n, 1500n],
      }),
    ).toBe('0x20267d3972c47815c09daaa4bd604c83c050b7cf225366042fd8acbc6c6cf10a')
    const row = {
      voucher: { channel: config, maxClaimableAmount: 50_000n },
      signature: '0x',
      totalClaimed: 777n,
    } as const
    expect(
      await reader.readContract({ ...batch, functionName: 'getClaimBatchDigest', args: [[row]] }),
    ).toBe('0xe841a12fbc3e859a50b104ec6910430e384825625f38c6aef74d57e6c14ca369')
    const [, name, version, chainId, contract] = await reader.readContract({
      ...batch,
      functionName: 'eip712Domain',
    })
    expect([name, version, chainId, contract]).toEqual([
      'x402 Batch Settlement',
      '1',
      84_532n,
      batch.address,
    ])
    const permit2 = { address: addresses.permit2, abi: permit2Abi } as const
    expect(await reader.readContract({ ...permit2, functionName: 'DOMAIN_SEPARATOR' })).toBe(
      '0x010f27a92fb9a32622f44f001dc4d15706a85b33499cfc2ce9033113ab26592c',
    )
  },
)

test('the genesis places exactly what a deployment leaves', needsAnvil, async () => {
  const { reader, wallet } = await openChain()
  const permit2 = pad(addresses.permit2)
  const settlement = pad(addresses.batchSettlement)
  const deployments: readonly (readonly [Hex, Hex])[] = [
    [addresses.batchSettlement, batchSettlementCreationCode],
    [addresses.exactPermit2Proxy, concatHex([exactPermit2ProxyCreationCode, permit2])],
    [addresses.uptoPermit2Proxy, concatHex([uptoPermit2ProxyCreationCode, permit2])],
    [
      addresses.erc3009DepositCollector,
      concatHex([erc3009DepositCollectorCreationCode, settlement]),
    ],
    [
      addresses.permit2DepositCollector,
      concatHex([permit2DepositCollectorCreationCode, settlement, permit2]),
    ],
    [addresses.multicall3, multicall3CreationCode],
  ]
  for (const [address, data] of deployments) {
    const hash = await wallet.sendTransaction({ data })
    const receipt = await reader.waitForTransactionReceipt({ hash, pollingInterval: 5 })
    const deployed = await reader.getCode({ address: receipt.contractAddress ?? '0x' })
    expect(size(deployed ?? '0x')).toBeGreaterThan(500)
    expect(await reader.getCode({ address }), address).toBe(deployed)
  }
})

test(
  'Permit2 proves its address, and its deployment leaves the code of our genesis',
  needsAnvil,
  async () => {
    const salt = sliceHex(permit2Deployment, 0, 32)
    const bytecode = sliceHex(permit2Deployment, 32)
    const from = addresses.create2Factory
    expect(getContractAddress({ opcode: 'CREATE2', from, salt, bytecode })).toBe(addresses.permit2)

    const { reader, wallet, mine } = await openBareAnvil()
    expect(await reader.getCode({ address: addresses.permit2 })).toBeUndefined()
    const hash = await wallet.sendTransaction({
      to: from,
      data: permit2Deployment,
      gas: 5_000_000n,
    })
    await mine()
    expect((await reader.getTransactionReceipt({ hash })).status).toBe('success')
    expect(await reader.getCode({ address: addresses.permit2 })).toBe(permit2RuntimeCode)
    const embedded = await openChain()
    expect(await embedded.reader.getCode({ address: from })).toBe(
      await reader.getCode({ address: from }),
    )
  },
)

/** One line per item, by what it is called and takes; parameter names and internal types do not matter. */
function describe(item: Abi[number]): string {
  if (item.type === 'function') {
    const outputs = item.outputs.map((output) => output.type).join()
    return `function ${toFunctionSignature(item)} ${item.stateMutability} ${outputs}`
  }
  if (item.type === 'event') return `event ${toEventSelector(item)}`
  if (item.type !== 'error') return item.type
  const asFunction: AbiFunction = {
    ...item,
    type: 'function',
    outputs: [],
    stateMutability: 'view',
  }
  return `error ${toFunctionSignature(asFunction)}`
}

async function openChain() {
  const { transport } = await startLocalChain(temporaryDirectory(), { fund: [`${sender}=${gas}`] })
  return clients(transport)
}

/** anvil as npm has it, on a genesis with nothing but one balance. */
async function openBareAnvil() {
  const directory = temporaryDirectory()
  const path = join(directory, 'bare.json')
  const alloc = { [sender]: { balance: `0x${gas.toString(16)}` } }
  const genesis = {
    config: { chainId: 84_532 },
    timestamp: '0x6ab13b80',
    gasLimit: '0x11e1a300',
    difficulty: '0x0',
    alloc,
  }
  writeFileSync(path, JSON.stringify(genesis))
  const anvil = await startAnvil(findAnvil(process.env), directory, { kind: 'genesis', path })
  onTestFinished(() => anvil.stop())
  const transport = custom({
    request: ({ method, params }: { method: string; params?: unknown[] }) =>
      anvil.client.call(method, params ?? []),
  })
  return { ...clients(transport), mine: () => anvil.client.call('evm_mine', []) }
}

function clients(transport: ReturnType<typeof custom>) {
  const settings = { chain: baseSepolia, transport, cacheTime: 0, pollingInterval: 5 } as const
  const account = privateKeyToAccount(senderKey)
  return {
    reader: createPublicClient(settings),
    wallet: createWalletClient({ ...settings, account }),
  }
}
