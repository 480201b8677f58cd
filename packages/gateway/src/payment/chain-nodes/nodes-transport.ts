/** The transport between viem and several nodes: one rule for each question that we ask (spec/payment.md PA29). */
import {
  createPublicClient,
  custom,
  isHex,
  keccak256,
  type Hex,
  type PublicClient,
  type Transport,
} from 'viem'
import { askAlike, describeFailure, type NodeGroup, type OnDifference } from './agreement.ts'
import { findAgreedHead, type AgreedHead } from './agreed-head.ts'
import { createChainNode, createNodeHttp, rpcErrorOf, type Said } from './chain-node.ts'
import { readMember } from './compared-members.ts'
import { gather } from './gather.ts'

/** The nodes of a chain. */
export type ChainSource = {
  /** Different URLs, at least one. */
  readonly urls: readonly string[]
  /** How many of them must say the same: more than half. */
  readonly agree: number
  readonly onDifference: OnDifference
}

/** The client of all nodes, and where there are several that of each. */
export type ChainClients = {
  readonly client: PublicClient
  /** Empty when there is one node. */
  readonly ofNodes: readonly PublicClient[]
}

const requestTimeoutMs = 4000

/** Clients over HTTP. One node is asked as viem asks it. */
export function createChainClients(source: ChainSource): ChainClients {
  const [first, ...others] = source.urls
  if (others.length === 0) {
    const transport = createNodeHttp(first, requestTimeoutMs)
    return { client: createPublicClient({ transport }), ofNodes: [] }
  }
  return {
    client: createPublicClient({ transport: createNodesTransport(source), cacheTime: 0 }),
    ofNodes: source.urls.map((url) =>
      createPublicClient({
        transport: createNodeHttp(url, requestTimeoutMs),
        cacheTime: 0,
      }),
    ),
  }
}

/** @throws RangeError for a rule by which two contradicting answers could both be believed. */
export function createNodesTransport({ urls, agree, onDifference }: ChainSource): Transport {
  if (new Set(urls).size !== urls.length || agree * 2 <= urls.length || agree > urls.length) {
    throw new RangeError('no rule for these nodes')
  }
  const nodes = urls.map((url, place) => createChainNode(url, place + 1, requestTimeoutMs))
  const group = { nodes, agree, onDifference }
  const heads = createHeads(group)
  return custom(
    {
      request: ({ method, params }: { readonly method: string; readonly params?: unknown }) =>
        answer(group, heads, method, Array.isArray(params) ? params : []),
    },
    { retryCount: 0 },
  )
}

/** Agreed blocks of late, to ask for their state by hash. */
type Heads = {
  newest(): Promise<AgreedHead>
  /** The hash of a block that was a head lately; by its number, else. */
  hashOf(number: string): Promise<string>
  /** Who named the newest agreed head; everybody, before. */
  namers(): NodeGroup['nodes']
}

const rememberedHeads = 64

function createHeads(group: NodeGroup): Heads {
  // Both owned by `newest`.
  const hashes = new Map<string, string>()
  let { nodes } = group
  return {
    newest: async () => {
      const head = await findAgreedHead(group)
      const number = `0x${head.number.toString(16)}`
      hashes.delete(number)
      hashes.set(number, head.hash)
      const [oldest] = hashes.keys()
      if (hashes.size > rememberedHeads && oldest !== undefined) hashes.delete(oldest)
      ;({ nodes } = head)
      return head
    },
    hashOf: async (number) => {
      const known = hashes.get(number)
      if (known !== undefined) return known
      const block = await askAlike(group, group.nodes, 'eth_getBlockByNumber', [number, false])
      return String(readMember(block, 'hash'))
    },
    namers: () => nodes,
  }
}

const stateful: ReadonlyMap<string, number> = new Map([
  ['eth_call', 1],
  ['eth_getBalance', 1],
  ['eth_getCode', 1],
  ['eth_getTransactionCount', 1],
])

async function answer(
  group: NodeGroup,
  heads: Heads,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const place = stateful.get(method)
  if (place !== undefined) return askState(group, heads, method, params, place)
  switch (method) {
    case 'eth_blockNumber':
      return `0x${(await heads.newest()).number.toString(16)}`
    case 'eth_getBlockByNumber':
      return params[0] === 'latest'
        ? (await heads.newest()).block
        : askAlike(group, group.nodes, method, params)
    case 'eth_getLogs':
      return askLogs(group, heads, params)
    case 'eth_getBlockByHash':
      return askAlike(group, heads.namers(), method, params)
    case 'eth_gasPrice':
    case 'eth_maxPriorityFeePerGas':
      return askHighest(group, method, params)
    case 'eth_sendRawTransaction':
      return sendToAll(group, params)
    default:
      return askAlike(group, group.nodes, method, params)
  }
}

/** State of the agreed head, or of the block that is named, by its hash. */
async function askState(
  group: NodeGroup,
  heads: Heads,
  method: string,
  params: readonly unknown[],
  place: number,
): Promise<unknown> {
  const tag = params[place] ?? 'latest'
  if (tag === 'pending') {
    // What waits to be mined differs from node to node, and buys nothing.
    return method === 'eth_getTransactionCount'
      ? askHighest(group, method, params)
      : askAlike(group, group.nodes, method, params)
  }
  const before = params.slice(0, place)
  const asked = (blockHash: string): Promise<unknown> =>
    askAlike(group, heads.namers(), method, [...before, { blockHash }])
  if (tag === 'latest') return asked((await heads.newest()).hash)
  return typeof tag === 'string'
    ? asked(await heads.hashOf(tag))
    : askAlike(group, heads.namers(), method, params)
}

/** A range ends at the agreed head: who is further on would find more, who is behind less. */
async function askLogs(
  group: NodeGroup,
  heads: Heads,
  params: readonly unknown[],
): Promise<unknown> {
  const [filter] = params
  if (readMember(filter, 'blockHash') !== undefined) {
    return askAlike(group, heads.namers(), 'eth_getLogs', params)
  }
  const head = await heads.newest()
  const named = readMember(filter, 'toBlock')
  const isBeyond =
    typeof named !== 'string' || !named.startsWith('0x') || BigInt(named) > head.number
  const toBlock = isBeyond ? `0x${head.number.toString(16)}` : named
  return askAlike(group, head.nodes, 'eth_getLogs', [Object.assign({}, filter, { toBlock })])
}

/** The most that enough nodes name at least: one alone can neither raise it nor, where there are more than enough, lower it. */
async function askHighest(
  group: NodeGroup,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const said = await gather(
    group.nodes,
    group.agree,
    (node) => node.ask(method, params),
    () => false,
  )
  const named = said
    .flatMap((each) => (each.kind === 'value' ? [each.value] : []))
    .filter((value) => typeof value === 'string' && /^0x[0-9a-f]{1,64}$/i.test(value))
    .map((value) => BigInt(String(value)))
    .toSorted((a, b) => (a < b ? 1 : -1))
  const highest = named[group.agree - 1]
  if (highest === undefined) throw describeFailure(group, method, said)
  return `0x${highest.toString(16)}`
}

const alreadyKnown = /already known|already imported|already exists|known transaction/i

/** To everybody; one that takes it is enough. Where nobody did, silence counts more than a refusal: it may be on its way. */
async function sendToAll(group: NodeGroup, params: readonly unknown[]): Promise<unknown> {
  const said = await gather(
    group.nodes,
    'all',
    (node) => node.ask('eth_sendRawTransaction', params),
    (so) => so.some(isTaken),
  )
  // Its hash is that of its bytes, whatever a node calls it.
  if (said.some(isTaken)) return keccak256(toHexText(params[0]))
  const unanswered = said.find((each) => errorOf(each) === undefined)
  const told = unanswered ?? said[0]
  throw told === undefined || told.kind === 'value' ? new RangeError('no node') : told.error
}

function toHexText(raw: unknown): Hex {
  if (!isHex(raw)) throw new TypeError('not a raw transaction')
  return raw
}

/** Nodes tell one another: who knows it already has it from us, or from one that took it. */
function isTaken(said: Said): boolean {
  if (said.kind === 'value') return true
  const answered = errorOf(said)
  return answered !== undefined && alreadyKnown.test(answered.details)
}

function errorOf(said: Said): ReturnType<typeof rpcErrorOf> {
  return said.kind === 'value' ? undefined : rpcErrorOf(said.error)
}
