/** Lets so many calls of one channel run at once, in the order in which they came; some must run alone. */
import { ClientError } from '../errors.ts'

/** A gate. */
export type CallGate = {
  /**
   * Resolves when the call may run; then `leave` must follow, once.
   *
   * @throws ClientError `channel-busy` when too many wait; the reason of the signal when it fires first.
   */
  enter(limit: number, isAlone: boolean, signal: AbortSignal | undefined): Promise<void>
  leave(): void
}

type Waiting = {
  readonly limit: number
  readonly isAlone: boolean
  readonly start: () => void
}

const maxWaiting = 1024

/** A gate that nobody has passed yet. */
export function createCallGate(): CallGate {
  // Owned here.
  const queue: Waiting[] = []
  let running = 0
  let aloneRuns = false

  function startNext(): void {
    for (;;) {
      const [head] = queue
      if (head === undefined || aloneRuns) return
      if (head.isAlone ? running > 0 : running >= head.limit) return
      queue.shift()
      running += 1
      aloneRuns = head.isAlone
      head.start()
    }
  }

  return {
    enter: (limit, isAlone, signal) =>
      new Promise<void>((resolve, reject) => {
        signal?.throwIfAborted()
        if (queue.length >= maxWaiting) throw new ClientError('channel-busy')
        const waiting = {
          limit,
          isAlone,
          start: () => {
            signal?.removeEventListener('abort', abort)
            resolve()
          },
        }
        function abort(): void {
          queue.splice(queue.indexOf(waiting), 1)
          // Whoever stood behind it may be next.
          startNext()
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', abort, { once: true })
        queue.push(waiting)
        startNext()
      }),
    leave: () => {
      running -= 1
      aloneRuns = false
      startNext()
    },
  }
}
