/** The TLS key of the current epoch, for a server that has to follow it. */
import type { TlsKey } from './tls-key.ts'

/** Owner of the current key; it has none before the first epoch. */
export type TlsKeys = {
  /** @throws Error before the first epoch. */
  current(): TlsKey
  replace(key: TlsKey): void
  /** Calls back with each later key. One listener: the server. */
  onChange(listener: (key: TlsKey) => void): void
}

/** Nothing yet. */
export function createTlsKeys(): TlsKeys {
  // Both are owned here.
  let key: TlsKey | undefined
  let listener: ((next: TlsKey) => void) | undefined
  return {
    current: () => {
      if (key === undefined) throw new Error('no epoch has begun')
      return key
    },
    replace: (next) => {
      key = next
      listener?.(next)
    },
    onChange: (given) => {
      listener = given
    },
  }
}
