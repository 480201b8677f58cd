/** Pools that are replaced: calls under way end where they began, and no connection outlives its hour for new calls. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Pool } from 'undici'
import { afterEach, expect, test } from 'vitest'
import {
  createRenewedPool,
  poolLifetimeMs,
  type UpstreamPool,
} from '../src/upstream/renewed-pool.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

type Upstream = {
  readonly origin: string
  /** Connections that calls came on, in the order of the calls. */
  readonly sockets: Socket[]
  /** Answers that are begun and not ended. */
  readonly held: ServerResponse[]
}

async function openUpstream(): Promise<Upstream> {
  const sockets: Socket[] = []
  const held: ServerResponse[] = []
  const server = createServer((request, response) => {
    sockets.push(request.socket)
    response.writeHead(200)
    if (request.url === '/held') {
      response.write('begun')
      held.push(response)
    } else response.end('whole')
  })
  // Nothing but the pool ends a connection, however long a test stands still.
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const address: AddressInfo | string | null = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { origin: `http://127.0.0.1:${port}`, sockets, held }
}

type Call = { readonly begun: Promise<void>; readonly ended: Promise<string> }

function call(pool: UpstreamPool, path: string): Call {
  const begun = Promise.withResolvers<undefined>()
  const ended = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  pool.dispatch(
    { method: 'GET', path },
    {
      onRequestStart: ignore,
      onResponseStart: ignore,
      onResponseData: (_, chunk) => {
        chunks.push(chunk)
        begun.resolve(undefined)
      },
      onResponseEnd: () => {
        ended.resolve(Buffer.concat(chunks).toString())
      },
      onResponseError: (_, error) => {
        begun.resolve(undefined)
        ended.resolve(error.message)
      },
    },
  )
  return { begun: begun.promise, ended: ended.promise }
}

function ignore(): void {
  // Only the body is looked at.
}

function openPool(upstream: Upstream): {
  readonly pool: UpstreamPool
  readonly clock: { nowMs: number }
} {
  const clock = { nowMs: 1000 }
  const pool = createRenewedPool(
    () => new Pool(upstream.origin, { connections: 1, pipelining: 1, keepAliveTimeout: 600_000 }),
    () => clock.nowMs,
  )
  closers.push(() => pool.destroy())
  return { pool, clock }
}

test('uses a connection until its hour is over, and a new one from then on', async () => {
  const upstream = await openUpstream()
  const { pool, clock } = openPool(upstream)
  expect(await call(pool, '/').ended).toBe('whole')
  clock.nowMs += poolLifetimeMs - 1
  expect(await call(pool, '/').ended).toBe('whole')
  expect(upstream.sockets[1]).toBe(upstream.sockets[0])
  clock.nowMs += 1
  expect(await call(pool, '/').ended).toBe('whole')
  expect(upstream.sockets[2]).not.toBe(upstream.sockets[0])
})

test('lets a call under way end on the old connection, counts it, and closes that one behind it', async () => {
  const upstream = await openUpstream()
  const { pool, clock } = openPool(upstream)
  const held = call(pool, '/held')
  await held.begun
  clock.nowMs += poolLifetimeMs
  expect(await call(pool, '/').ended).toBe('whole')
  expect(pool.load()).toEqual({ running: 1, waiting: 0 })
  const [old] = upstream.sockets
  if (old === undefined) throw new Error('no call arrived')
  const closed = once(old, 'close')
  upstream.held[0]?.end(' and ended')
  expect(await held.ended).toBe('begun and ended')
  await closed
  expect(pool.load()).toEqual({ running: 0, waiting: 0 })
  expect(upstream.sockets[1]?.destroyed).toBe(false)
})

test('ends calls on old connections, too, when it is destroyed', async () => {
  const upstream = await openUpstream()
  const { pool, clock } = openPool(upstream)
  const held = call(pool, '/held')
  await held.begun
  clock.nowMs += poolLifetimeMs
  expect(await call(pool, '/').ended).toBe('whole')
  await pool.destroy()
  expect(await held.ended).toMatch(/destroyed/)
})
