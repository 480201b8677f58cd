/**
 * The heartbeat of a worker. One whose event loop does not turn holds its calls, what is reserved for them and the
 * connections that the system gives it: it is ended, and then it is a worker that has died.
 */
import { maxOpenMs, type Member } from './member.ts'

// Looks are counted, not the time between them: a machine that slept has held up the primary, too.
const looks = 4

/**
 * Asks a worker again and again until it is gone, and ends it when it answers nothing for `timeoutMs`, or for as long as
 * it may take to start.
 *
 * @param onHang - told before it is ended.
 */
export function superviseMember(
  member: Member,
  timeoutMs: () => number,
  onHang: (timeoutMs: number) => void,
): void {
  // Both owned here: looks since the question that is open, `undefined` when none is.
  let missed: number | undefined
  let timer = setTimeout(look, lookMs())

  function lookMs(): number {
    return timeoutMs() / looks
  }

  /** What a worker does at its start may hold up its event loop for longer. */
  function patienceMs(): number {
    return member.state === 'starting' ? Math.max(maxOpenMs, timeoutMs()) : timeoutMs()
  }

  function look(): void {
    if (missed === undefined) {
      missed = 0
      // Who is gone needs no answer.
      void member.pipe.ask('ping', null).then(answered, () => undefined)
    } else if (++missed * lookMs() >= patienceMs()) {
      onHang(patienceMs())
      member.kill()
      return
    }
    timer = setTimeout(look, lookMs())
  }

  function answered(): void {
    missed = undefined
  }

  void member.ended.finally(() => {
    clearTimeout(timer)
  })
}
