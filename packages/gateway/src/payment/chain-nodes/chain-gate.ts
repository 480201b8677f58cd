/** Nothing is sold on a chain, or for a token, that is not the configured one (spec/payment.md PA29.8). */
import {
  BaseError,
  ContractFunctionRevertedError,
  ContractFunctionZeroDataError,
  domainSeparator,
  getAddress,
  parseAbi,
  type PublicClient,
} from 'viem'
import { ConfigError } from '../../config/load-config.ts'
import { describeGatewayError } from '../../errors.ts'
import type { Admission, PaymentScheme } from '../admission.ts'
import { pause } from '../exact/pause.ts'

/** What the configuration says of the chain. */
export type ExpectedChain = {
  readonly network: string
  readonly asset: string
  readonly assetName: string
  readonly assetVersion: string
  /** Whether signatures for the token itself are taken: by `exact`, and for deposits. */
  readonly takesErc3009: boolean
}

/** Owned by the process: closed until the chain has said what it is. */
export type ChainGate = {
  isOpen(): boolean
  stop(): Promise<void>
}

const againAfterMs = 2000
const abi = parseAbi(['function DOMAIN_SEPARATOR() view returns (bytes32)'])

/**
 * Asks once. A chain that does not answer is asked again until it does.
 *
 * @throws ConfigError when it is another chain, or another token.
 */
export async function openChainGate(
  client: PublicClient,
  expected: ExpectedChain,
  onWrong: (error: ConfigError) => void,
): Promise<ChainGate> {
  const ending = new AbortController()
  // Owned by `askAgain`.
  let isOpen = await isRight(client, expected)

  async function askAgain(): Promise<void> {
    let isTold = false
    while (!isOpen) {
      // Only the signal ends a pause.
      await pause(againAfterMs, ending.signal).catch(() => undefined)
      if (ending.signal.aborted) return
      try {
        isOpen = await isRight(client, expected)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        if (!isTold) onWrong(error)
        isTold = true
      }
    }
  }

  const asking = askAgain()
  return {
    isOpen: () => isOpen,
    stop: async () => {
      ending.abort()
      await asking
    },
  }
}

/** The scheme, of which no payment is looked at while the gate is closed. */
export function behindGate(gate: ChainGate, scheme: PaymentScheme): PaymentScheme {
  return {
    ...scheme,
    admit: (request) =>
      gate.isOpen() || request.headers['payment-signature'] === undefined
        ? scheme.admit(request)
        : Promise.resolve(closed()),
    close: async () => {
      await gate.stop()
      await scheme.close()
    },
  }
}

function closed(): Admission {
  const code = 'chain-unreachable'
  const headers = { 'retry-after': '5' }
  const detail = `${describeGatewayError(code).title} Nothing was charged.`
  return { kind: 'refused', refusal: { code, detail, headers } }
}

/** Whether it answers, and is the right one. @throws ConfigError */
async function isRight(client: PublicClient, expected: ExpectedChain): Promise<boolean> {
  const chainId = +expected.network.slice('eip155:'.length)
  try {
    const found = await client.getChainId()
    if (found !== chainId) {
      throw new ConfigError(`the chain of payment is eip155:${found}, not ${expected.network}`)
    }
    if (expected.takesErc3009) await checkDomain(client, expected, chainId)
    return true
  } catch (error) {
    if (error instanceof ConfigError) throw error
    // Not only what the library says of a node: an answer without a number makes it throw a TypeError.
    return false
  }
}

async function checkDomain(
  client: PublicClient,
  { asset, assetName: name, assetVersion: version }: ExpectedChain,
  chainId: number,
): Promise<void> {
  const address = getAddress(asset)
  const domain = { name, version, chainId, verifyingContract: address }
  const found = await client
    .readContract({ address, abi, functionName: 'DOMAIN_SEPARATOR' })
    .catch((error: unknown) => {
      if (!isNoSuchFunction(error)) throw error
      throw new ConfigError('asset of payment is no token with EIP-3009 on its chain')
    })
  if (found !== domainSeparator({ domain })) {
    throw new ConfigError('assetName and assetVersion of payment are not those of the token')
  }
}

function isNoSuchFunction(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const found = error.walk(
    (inner) =>
      inner instanceof ContractFunctionRevertedError ||
      inner instanceof ContractFunctionZeroDataError,
  )
  return found !== null
}
