/** Tries the chain of x402 `exact`: the node, its network, and whether signatures for the token would hold. */
import { domainSeparator, parseAbi, type PublicClient } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import type { Config } from '../config/schema.ts'
import { createDoctorClient } from './check-nodes.ts'
import { codeOf, createFindings, type Finding, type Findings } from './finding.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>
type Exact = NonNullable<PaidConfig['exact']>

const tokenAbi = parseAbi(['function DOMAIN_SEPARATOR() view returns (bytes32)'])
const settlementKeyName = 'COUNTERSIGN_SETTLEMENT_KEY'

/** The findings about the chain. */
export async function checkChain(
  exact: Exact,
  chain: Pick<PaidConfig, 'chain'>,
  environment: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const findings = createFindings('chain')
  const client = createDoctorClient(chain, exact.rpcUrl, timeoutMs)
  if (await judgeNetwork(client, exact, findings)) {
    await judgeToken(client, exact, findings)
    await judgeSettler(client, environment[settlementKeyName], findings)
  }
  return findings.all
}

async function judgeNetwork(
  client: PublicClient,
  { network }: Exact,
  findings: Findings,
): Promise<boolean> {
  try {
    const found = `eip155:${await client.getChainId()}`
    if (found === network) {
      findings.ok('network', found)
      return true
    }
    const hint = 'Payments would be settled on another chain: correct payment.exact.'
    findings.failed('network', `rpcUrl is a node of ${found}, not of ${network}`, hint)
  } catch (error) {
    findings.failed('network', `rpcUrl: ${codeOf(error)}`, 'Check payment.exact.rpcUrl.')
  }
  return false
}

async function judgeToken(
  client: PublicClient,
  { asset, assetName, assetVersion, network }: Exact,
  findings: Findings,
): Promise<void> {
  const address = toHex(asset)
  try {
    const found = await client.readContract({
      address,
      abi: tokenAbi,
      functionName: 'DOMAIN_SEPARATOR',
    })
    const expected = domainSeparator({
      domain: {
        name: assetName,
        version: assetVersion,
        chainId: Number(network.slice('eip155:'.length)),
        verifyingContract: address,
      },
    })
    if (found === expected) findings.ok('token', 'its domain is that of the configuration')
    else {
      const hint = 'assetName and assetVersion must be those of the EIP-712 domain of the token.'
      findings.failed('token', 'its domain is another one: no payment would be valid', hint)
    }
  } catch (error) {
    const hint = 'payment.exact.asset must be a token with EIP-3009 on this network.'
    findings.failed('token', `DOMAIN_SEPARATOR: ${codeOf(error)}`, hint)
  }
}

async function judgeSettler(
  client: PublicClient,
  key: string | undefined,
  findings: Findings,
): Promise<void> {
  if (key === undefined || !/^0x[0-9a-f]{64}$/.test(key)) {
    const hint = `Set ${settlementKeyName} to 0x and 64 hex digits.`
    findings.failed('settlement key', 'there is none', hint)
    return
  }
  try {
    const address = privateKeyToAddress(toHex(key))
    const balance = await client.getBalance({ address })
    if (balance > 0n) findings.ok('settlement key', `${address} can pay for gas`)
    else findings.failed('settlement key', `${address} has no gas`, 'Send it some native coin.')
  } catch (error) {
    findings.failed('settlement key', codeOf(error), 'The key is none, or the node failed.')
  }
}

function toHex(text: string): `0x${string}` {
  return `0x${text.slice(2)}`
}
