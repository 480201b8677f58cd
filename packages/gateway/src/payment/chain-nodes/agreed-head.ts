/** The newest block that enough nodes name alike (spec/payment.md PA29.2). */
import { describeFailure, findAgreed, type NodeGroup } from './agreement.ts'
import type { ChainNode, Said } from './chain-node.ts'
import { comparedText, readMember } from './compared-members.ts'
import { gather } from './gather.ts'

/** A block, as one of those that agree gave it. */
export type AgreedHead = {
  readonly number: bigint
  readonly hash: string
  readonly block: unknown
  /** Who named it. */
  readonly nodes: readonly ChainNode[]
}

const method = 'eth_getBlockByNumber'
/** Nodes follow different forks near the head for a while. */
const blocksBack = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]

/** @throws NodesDisagree; what a node answered when too few did. */
export async function findAgreedHead(group: NodeGroup): Promise<AgreedHead> {
  const heads = await gather(group.nodes, group.agree, askHead, () => false)
  const known = heads.flatMap((said) => (said.kind === 'value' ? [said] : []))
  const numbers = known.map(({ value }) => readNumber(value)).toSorted(descending)
  const highest = numbers[group.agree - 1]
  if (highest === undefined) throw describeFailure(group, method, heads)
  for (const number of candidates(highest, numbers)) {
    const said = await askAt(group, known, number)
    const agreed = findAgreed(group, method, said)
    if (agreed !== undefined) return toHead(number, agreed, said)
  }
  throw describeFailure(group, method, heads)
}

async function askHead(node: ChainNode): Promise<Said> {
  const said = await node.ask(method, ['latest', false])
  if (said.kind !== 'value') return said
  const number = readNumber(said.value)
  if (number < 0n) return { node, kind: 'silent', error: new TypeError('no block is named') }
  node.headNumber = number
  return said
}

/** In falling order: the newest that enough nodes can know, then where slower ones are, then before a fork. */
function candidates(highest: bigint, numbers: readonly bigint[]): readonly bigint[] {
  const lowest = numbers.at(-1) ?? highest
  const before = blocksBack.map((back) => lowest - back)
  const all = [highest, ...numbers, ...before].filter((n) => n <= highest && n >= 0n)
  return [...new Set(all)].toSorted(descending)
}

/** That block at everybody who has come as far. */
async function askAt(
  group: NodeGroup,
  known: readonly (Said & { readonly kind: 'value' })[],
  number: bigint,
): Promise<readonly Said[]> {
  const there = known.filter(({ value }) => readNumber(value) === number)
  const beyond = known.filter(({ value }) => readNumber(value) > number)
  const earlier = await gather(
    beyond.map(({ node }) => node),
    Math.max(0, group.agree - there.length),
    (node) => node.ask(method, [`0x${number.toString(16)}`, false]),
    () => beyond.length === 0,
  )
  const said = [...there, ...earlier.filter((each) => each.kind !== 'value' || isBlock(each.value))]
  const agreed = findAgreed(group, method, said)
  const right = agreed === undefined ? undefined : comparedText(method, agreed)
  const texts = new Set(said.map((each) => comparedText(method, each)))
  texts.delete(undefined)
  if (texts.size > 1) {
    for (const each of said) {
      const text = comparedText(method, each)
      if (text !== undefined && text !== right) group.onDifference(each.node.number, method)
    }
  }
  return said
}

function toHead(number: bigint, agreed: Said, said: readonly Said[]): AgreedHead {
  const block = agreed.kind === 'value' ? agreed.value : undefined
  const hash = readMember(block, 'hash')
  if (typeof hash !== 'string') throw new TypeError('a block has no hash')
  const text = comparedText(method, agreed)
  const nodes = said.filter((each) => comparedText(method, each) === text).map(({ node }) => node)
  return { number, hash, block, nodes }
}

/** -1 for what is no block. */
function readNumber(block: unknown): bigint {
  const number = readMember(block, 'number')
  return isBlock(block) && typeof number === 'string' ? BigInt(number) : -1n
}

function isBlock(block: unknown): boolean {
  const number = readMember(block, 'number')
  const hash = readMember(block, 'hash')
  return (
    typeof number === 'string' &&
    /^0x[0-9a-f]{1,16}$/i.test(number) &&
    typeof hash === 'string' &&
    /^0x[0-9a-f]{64}$/i.test(hash)
  )
}

function descending(a: bigint, b: bigint): number {
  if (a === b) return 0
  return a < b ? 1 : -1
}
