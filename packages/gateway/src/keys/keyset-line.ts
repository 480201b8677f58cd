/** Keysets one after the other: two that name the same one before them would be a fork (spec/statement.md ST4.7). */

/** Opens the next keyset, when all that were asked for before are opened. */
export type KeysetLine<T, E> = (terms: T, nowMs: number) => Promise<E>

/** A line that begins with this keyset. One that cannot be opened is left out. */
export function createKeysetLine<T, E extends { readonly keysetDigest: Uint8Array }>(
  first: E,
  open: (terms: T, at: { readonly nowMs: number; readonly previous: Uint8Array }) => Promise<E>,
): KeysetLine<T, E> {
  // Both owned here. `last` never rejects.
  let { keysetDigest: previous } = first
  let last: Promise<unknown> = Promise.resolve()
  return (terms, nowMs) => {
    const opened = last.then(async () => {
      const epoch = await open(terms, { nowMs, previous })
      previous = epoch.keysetDigest
      return epoch
    })
    last = opened.catch(() => undefined)
    return opened
  }
}
