/** Small helpers of tests. */

/** The value; fails the test when there is none. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(`${what} is missing`)
  return value
}

/** Something to wait for that a test opens. */
export function createGate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = ignore
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

function ignore(): void {}
