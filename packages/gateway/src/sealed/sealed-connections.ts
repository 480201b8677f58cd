/** Which connections inside the process carry a call that came sealed. */
import { hash } from 'node:crypto'
import { duplexPair, type Duplex } from 'node:stream'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { HpkeKey } from '../keys/hpke-key.ts'

/** The claim `sealed` (spec/receipt.md RC4). */
export type SealedClaim = ReadonlyMap<string, CborValue>

const claims = new WeakMap<Duplex, SealedClaim>()
const suiteName = 'x25519-sha256-aes128gcm'

/**
 * Both ends of a connection; calls that arrive at `inner` were sealed to this key, and come from where the outer call
 * came from.
 */
export function openSealedConnection(
  key: HpkeKey,
  caller: string,
): {
  readonly outer: Duplex
  readonly inner: Duplex
} {
  const [outer, pipe] = duplexPair()
  const inner = Object.assign(asSocket(pipe), { remoteAddress: caller })
  // A pair tells its other side of an end, not of a caller who has left.
  outer.once('close', () => {
    inner.destroy()
  })
  const digest = hash('sha256', key.publicKey, 'buffer')
  // In the order of their encoding (ST1.1).
  claims.set(
    inner,
    new Map<string, CborValue>([
      ['key', digest],
      ['suite', suiteName],
    ]),
  )
  return { outer, inner }
}

/** The claim of a call on this connection; `undefined` when it did not come sealed. */
export function sealedClaimOf(connection: Duplex | null): SealedClaim | undefined {
  return connection === null ? undefined : claims.get(connection)
}

/** What the gateway does with sockets beside reading and writing. */
function asSocket(pipe: Duplex): Duplex {
  return Object.assign(pipe, {
    setTimeout: (timeoutMs: number, listener?: () => void): Duplex => {
      if (listener === undefined) return pipe
      const timer = setTimeout(listener, timeoutMs).unref()
      return pipe.once('close', () => {
        clearTimeout(timer)
      })
    },
    resetAndDestroy: (): Duplex => pipe.destroy(),
  })
}
