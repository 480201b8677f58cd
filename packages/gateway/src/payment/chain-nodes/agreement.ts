/** What k of several nodes say alike (spec/payment.md PA29.2, PA29.3). */
import type { ChainNode, Said } from './chain-node.ts'
import { comparedText, readMember } from './compared-members.ts'
import { gather } from './gather.ts'
import { NodesDisagree } from './nodes-disagree.ts'

/** Told of a node that says something else than enough others, or of nodes that say different things. */
export type OnDifference = (node: number, method: string) => void

/** The nodes of a chain, and how many of them must agree. */
export type NodeGroup = {
  readonly nodes: readonly ChainNode[]
  readonly agree: number
  readonly onDifference: OnDifference
}

/**
 * The answer that enough of `asked` give alike; a refusal is thrown as one node gave it.
 *
 * @throws NodesDisagree; what a node answered when too few did.
 */
export async function askAlike(
  group: NodeGroup,
  asked: readonly ChainNode[],
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const isUnknown = nullIsUnknown.has(method)
  const said = await gather(
    asked,
    'all',
    async (node) => toSilence(await node.ask(method, params), isUnknown),
    (so) => findAgreed(group, method, so) !== undefined,
    (all) => {
      reportDifferences(group, method, all)
    },
  )
  const agreed = findAgreed(group, method, said)
  if (agreed === undefined) throw describeFailure(group, method, said)
  if (agreed.kind !== 'value') throw agreed.error
  return agreed.value
}

/** The first of those that say the same, when they are enough. */
export function findAgreed(
  { agree }: Pick<NodeGroup, 'agree'>,
  method: string,
  said: readonly Said[],
): Said | undefined {
  const counts = new Map<string, number>()
  for (const each of said) {
    const text = comparedText(method, each)
    if (text === undefined) continue
    const count = (counts.get(text) ?? 0) + 1
    counts.set(text, count)
    if (count >= agree) return each
  }
  return undefined
}

/** Why there is no answer. */
export function describeFailure(
  { agree }: Pick<NodeGroup, 'agree'>,
  method: string,
  said: readonly Said[],
): unknown {
  const silent = said.filter((each) => each.kind === 'silent')
  const [last] = silent.slice(-1)
  return said.length - silent.length < agree && last !== undefined
    ? last.error
    : new NodesDisagree(method)
}

/** A block that a node does not know yet is no answer about it. */
const nullIsUnknown: ReadonlySet<string> = new Set(['eth_getBlockByHash', 'eth_getBlockByNumber'])

class UnknownYet extends Error {
  constructor() {
    super('the node does not know it')
    this.name = 'UnknownYet'
  }
}

function toSilence(said: Said, isUnknown: boolean): Said {
  if (!isUnknown || said.kind !== 'value' || said.value !== null) return said
  return { node: said.node, kind: 'silent', error: new UnknownYet() }
}

/** Where none have a majority nobody can say who is wrong: then all are told of. */
function reportDifferences(group: NodeGroup, method: string, said: readonly Said[]): void {
  // A node that is behind has no receipt yet. One that knows later blocks hides it.
  const heard = said.filter((each) => !isBehind(each, said))
  const texts = heard.map((each) => comparedText(method, each))
  const spoken = new Set(texts.filter((text) => text !== undefined))
  if (spoken.size < 2) return
  const agreed = findAgreed(group, method, heard)
  const right = agreed === undefined ? undefined : comparedText(method, agreed)
  for (const [place, { node }] of heard.entries()) {
    const text = texts[place]
    if (text !== undefined && text !== right) group.onDifference(node.number, method)
  }
}

/** Blocks by which an index of receipts may be behind the head that its node names. */
const indexLag = 2n

function isBehind(each: Said, said: readonly Said[]): boolean {
  if (each.kind !== 'value' || each.value !== null) return false
  return said.every((other) => {
    const number = other.kind === 'value' ? readMember(other.value, 'blockNumber') : undefined
    return typeof number !== 'string' || each.node.headNumber < BigInt(number) + indexLag
  })
}
