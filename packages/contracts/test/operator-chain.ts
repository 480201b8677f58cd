/** A chain with the contracts of one operator on it, and the enclave key that they trust. */

import { createPublicClient, createWalletClient, keccak256, toBytes } from 'viem'
import type { Hex, PrivateKeyAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { baseSepoliaUsdc, baseSepoliaX402 } from '../src/addresses.ts'
import { testUsdcAbi } from '../src/generated/test-usdc.ts'
import { deployMissing, planOperator, planRegistry } from '../src/operator.ts'
import type { OperatorTerms } from '../src/operator.ts'
import { planKeyRegistration } from '../src/register-key.ts'
import { payer, payerKey, sender, senderKey } from './local-chain.ts'
import { startLocalChain, temporaryDirectory } from './local-chain.ts'

export const payerAccount: PrivateKeyAccount = privateKeyToAccount(payerKey)
export const gatewayId: Hex = keccak256(toBytes('a gateway'))
const gas = 1_000_000_000_000_000_000n
/** Where the payee passes its tokens on to. */
export const payeeOwner: Hex = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const minDelaySeconds = 2

/** The deployed contracts, a wallet that pays for gas, and the attested key. */
export type OperatorChain = Awaited<ReturnType<typeof openOperatorChain>>

/** Starts a chain and deploys everything by ordinary transactions. */
export async function openOperatorChain() {
  const funded = await openFundedChain()
  const { reader, wallet, mined } = funded
  const { timelock, registry } = planRegistry({
    x402: baseSepoliaX402,
    minDelaySeconds,
    proposers: [sender],
    guardian: sender,
  })
  const terms: OperatorTerms = {
    x402: baseSepoliaX402,
    registry: registry.address,
    gatewayId,
    payeeOwner,
  }
  const contracts = planOperator(terms)
  const deployments = [timelock, registry, ...Object.values(contracts)]
  const deploy = () =>
    deployMissing(deployments, {
      hasCode: async (address) => (await reader.getCode({ address })) !== undefined,
      send: (transaction) => mined(wallet.sendTransaction(transaction)),
    })
  const deployed = await deploy()
  const addresses = {
    timelock: timelock.address,
    registry: registry.address,
    payee: contracts.payee.address,
    authorizer: contracts.authorizer.address,
    settler: contracts.settler.address,
  }
  const registerKey = (key: Hex) => registerThroughTimelock(funded, addresses, key)
  const enclave = privateKeyToAccount(generatePrivateKey())
  await registerKey(enclave.address)
  return { ...funded, addresses, enclave, registerKey, deploy, deployed }
}

type FundedChain = Awaited<ReturnType<typeof openFundedChain>>

async function openFundedChain() {
  const chain = await startLocalChain(temporaryDirectory(), {
    fund: [`${sender}=${gas}`, `${payer}=${gas}`],
    usdc: [`${payer}=5000000`],
    // Stock clients put real times into what they sign.
    startMs: Date.now() - 60_000,
  })
  const settings = {
    chain: baseSepolia,
    transport: chain.transport,
    cacheTime: 0,
    pollingInterval: 5,
  } as const
  const reader = createPublicClient(settings)
  const walletOf = (key: Hex) =>
    createWalletClient({ ...settings, account: privateKeyToAccount(key) })
  /** Sends and waits; a transaction that reverts is an error. */
  const mined = async (sent: Promise<Hex>) => {
    const receipt = await reader.waitForTransactionReceipt({ hash: await sent, pollingInterval: 5 })
    if (receipt.status !== 'success') throw new Error(`${receipt.transactionHash} reverted`)
    return receipt
  }
  const balanceOf = (owner: Hex) =>
    reader.readContract({
      address: baseSepoliaUsdc.address,
      abi: testUsdcAbi,
      functionName: 'balanceOf',
      args: [owner],
    })
  return { reader, wallet: walletOf(senderKey), walletOf, mined, balanceOf }
}

/** Announces a key and registers it when the timelock lets it. */
async function registerThroughTimelock(
  { reader, wallet, mined }: FundedChain,
  addresses: { readonly registry: Hex; readonly timelock: Hex },
  key: Hex,
): Promise<void> {
  const validFromSeconds = Number((await reader.getBlock()).timestamp)
  const { announce, register } = planKeyRegistration(addresses, minDelaySeconds, {
    gatewayId,
    key,
    validFromSeconds,
    validUntilSeconds: validFromSeconds + 86_400,
    keysetDigest: keccak256(toBytes('keyset')),
  })
  await mined(wallet.sendTransaction(announce))
  // Time passes on this chain with each block.
  for (let block = 0; block < 2; block += 1) {
    await mined(wallet.sendTransaction({ to: sender, value: 0n }))
  }
  await mined(wallet.sendTransaction(register))
}
