/** When the next block is due. The chain's clock has seconds, so it never mines two blocks within one. */

const LONGEST_WAIT_MS = 1000

/** One timer. The chain's writer owns it. */
export class BlockTimer {
  readonly #mine: () => void
  readonly #nowMs: () => number
  #timer: NodeJS.Timeout | undefined
  #soon = false
  #stopped = false

  /** `mine` is called when a block is due; it calls `begin` before it mines. */
  constructor(mine: () => void, nowMs: () => number) {
    this.#mine = mine
    this.#nowMs = nowMs
  }

  /**
   * A block as soon as the clock shows a later second than the newest block has: chain time must not run ahead of
   * real time. Within a second in any case, even if the clock was set back.
   */
  soon(newestTimestampSeconds: number): void {
    if (this.#soon) return
    this.#soon = true
    const waitMs = (newestTimestampSeconds + 1) * 1000 - this.#nowMs()
    this.#schedule(Math.min(Math.max(waitMs, 0), LONGEST_WAIT_MS))
  }

  /** A block after `waitMs`, unless one is due soon anyway. */
  heartbeat(waitMs: number): void {
    if (!this.#soon) this.#schedule(waitMs)
  }

  /** A block is being mined: what was planned is done. */
  begin(): void {
    this.#soon = false
    clearTimeout(this.#timer)
  }

  /** No block any more. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #schedule(waitMs: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) this.#timer = setTimeout(this.#mine, waitMs)
  }
}
