/** Asks several nodes at once, and waits for those that it pays to wait for. */
import { setTimeout } from 'node:timers/promises'
import type { ChainNode, Said } from './chain-node.ts'

/** How long the others are waited for when enough have answered. */
const graceMs = 300

/**
 * What the nodes said. Ends when nobody is waited for any more: all have answered; or `enough` says so; or, where
 * `agree` answers of any kind suffice, so many are there and the rest is late. With `all` the late ones are waited for: they may
 * decide between those that differ. `whenAll` gets the answers of everybody, in the end.
 */
export async function gather(
  nodes: readonly ChainNode[],
  agree: number | 'all',
  ask: (node: ChainNode) => Promise<Said>,
  enough: (said: readonly Said[]) => boolean,
  whenAll: (said: readonly Said[]) => void = () => undefined,
): Promise<readonly Said[]> {
  const startedMs = performance.now()
  const pending = new Set(nodes)
  const said: Said[] = []
  const ending = new AbortController()
  const done = Promise.withResolvers<void>()
  let isGraceOver = false

  const look = (): void => {
    const answered = said.filter(({ kind }) => kind !== 'silent').length
    const isMany = agree !== 'all' && answered >= agree
    const isOthersLate = isGraceOver || [...pending].every(({ isLate }) => isLate)
    if (pending.size === 0 || enough(said) || (isMany && isOthersLate)) done.resolve()
    else if (isMany) void waitOnce()
  }
  // Owned here: the timer runs once at most.
  let waiting: Promise<void> | undefined
  const waitOnce = (): Promise<void> => (waiting ??= endGrace())
  const endGrace = async (): Promise<void> => {
    // Aborting rejects the timer; then nobody waits any more.
    await setTimeout(graceMs, undefined, { signal: ending.signal }).catch(() => undefined)
    if (ending.signal.aborted) return
    isGraceOver = true
    for (const node of pending) node.isLate = true
    look()
  }

  const all = Promise.all(
    nodes.map(async (node) => {
      const answer = await ask(node)
      pending.delete(node)
      node.isLate = answer.kind === 'silent' || performance.now() - startedMs > graceMs
      said.push(answer)
      look()
    }),
  )
  void tellAll()
  async function tellAll(): Promise<void> {
    await all
    whenAll(said)
  }
  look()
  await done.promise
  ending.abort()
  return [...said]
}
