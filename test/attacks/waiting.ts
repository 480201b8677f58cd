/** Waiting, always with an end. */

const everyMs = 50

/** So many milliseconds: for an attacker who picks an instant. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

/** Looks until it is so, or the time is over, which is more than a busy machine needs; says whether it is. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<boolean> {
  const end = performance.now() + withinMs
  for (;;) {
    if (await isSo()) return true
    if (performance.now() > end) return false
    await pause(everyMs)
  }
}
