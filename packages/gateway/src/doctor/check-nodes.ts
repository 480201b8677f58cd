/** Tries each chain node where there are several: whether it is of the chain, and answers for the state of a block. */
import { createPublicClient, http, type PublicClient } from 'viem'
import type { Config } from '../config/schema.ts'
import { createChainTerms } from '../payment/chain-nodes/chain-terms.ts'
import { createChainClients } from '../payment/chain-nodes/nodes-transport.ts'
import { codeOf, createFindings, type Finding, type Findings } from './finding.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>

/** Whose state is asked for: it has none. */
const nobody = '0x0000000000000000000000000000000000000001'
/** Nodes of one chain that are further apart than this agree on old blocks only. */
const maxBehind = 8n

/** What asks all nodes, as the gateway does. */
export function createDoctorClient(
  { chain }: Pick<PaidConfig, 'chain'>,
  rpcUrl: string,
  timeoutMs: number,
): PublicClient {
  const { source } = createChainTerms({ chain }, rpcUrl)
  return source.urls.length === 1
    ? createPublicClient({ transport: http(rpcUrl, { timeout: timeoutMs, retryCount: 0 }) })
    : createChainClients(source).client
}

/** The findings about nodes; none where there is one. They are named by their number: a URL may hold a secret. */
export async function checkNodes(
  { chain, exact, upto, batchSettlement }: PaidConfig,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const findings = createFindings('chain')
  const first = exact ?? upto ?? batchSettlement
  if (first === undefined) return findings.all
  const { source } = createChainTerms({ chain }, first.rpcUrl)
  if (source.urls.length === 1) return findings.all
  const tried = await Promise.all(
    source.urls.map((url, place) => tryNode(url, place + 1, first.network, timeoutMs)),
  )
  const heads = tried.flatMap(({ head }) => (head === undefined ? [] : [head]))
  const newest = heads.reduce((high, each) => (each > high ? each : high), 0n)
  const good = tried.filter(({ fault }) => fault === undefined).length
  // Where enough are good the gateway runs, and somebody should look at the others.
  const isEnough = good >= source.agree
  for (const each of tried) describeNode(each, { newest, isEnough }, findings)
  const counted = `${good} of ${source.urls.length} are good, ${source.agree} must agree`
  if (isEnough) findings.ok('nodes', counted)
  else {
    const hint = 'Nothing can be believed: correct payment.chain.otherNodes.'
    findings.failed('nodes', counted, hint)
  }
  return findings.all
}

type TriedNode = {
  readonly number: number
  readonly head: bigint | undefined
  readonly fault: { readonly message: string; readonly hint: string } | undefined
}

async function tryNode(
  url: string,
  number: number,
  network: string,
  timeoutMs: number,
): Promise<TriedNode> {
  const transport = http(url, { timeout: timeoutMs, retryCount: 0 })
  const client = createPublicClient({ transport, cacheTime: 0 })
  try {
    const found = `eip155:${await client.getChainId()}`
    if (found !== network) {
      const hint = 'Remove it, or correct its URL.'
      return { number, head: undefined, fault: { message: `is of ${found}, not ${network}`, hint } }
    }
    const { number: head, hash: blockHash } = await client.getBlock()
    try {
      await client.request({ method: 'eth_getBalance', params: [nobody, { blockHash }] })
    } catch (error) {
      const message = `state by block hash: ${codeOf(error)}`
      const hint = 'It must answer for blocks by their hash (EIP-1898): take another node.'
      return { number, head, fault: { message, hint } }
    }
    return { number, head, fault: undefined }
  } catch (error) {
    const fault = { message: codeOf(error), hint: 'Check its URL, and that it is up.' }
    return { number, head: undefined, fault }
  }
}

function describeNode(
  { number, head, fault }: TriedNode,
  { newest, isEnough }: { readonly newest: bigint; readonly isEnough: boolean },
  findings: Findings,
): void {
  const check = `node ${number}`
  if (fault !== undefined && isEnough) findings.warning(check, fault.message, fault.hint)
  else if (fault !== undefined) findings.failed(check, fault.message, fault.hint)
  else if (head !== undefined && newest - head > maxBehind) {
    const hint = 'While it is behind it confirms nothing that is new.'
    findings.warning(check, `is ${newest - head} blocks behind the newest`, hint)
  } else findings.ok(check, `at block ${head ?? 0n}`)
}
