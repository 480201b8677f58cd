/** What a call leaves behind that ends while it waits for a connection. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Pool } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import {
  callUpstream,
  type UpstreamExchange,
  type UpstreamObserver,
} from '../src/upstream/call-upstream.ts'
import { createRenewedPool } from '../src/upstream/renewed-pool.ts'
import { createUpstreamRest } from '../src/upstream/upstream-rest.ts'
import type { Upstream } from '../src/upstream/upstreams.ts'

test('a call that ends while it waits for a connection leaves neither its body nor its caller in memory', async () => {
  const { upstream, held, paths, connections } = await openBusyUpstream()
  const first = begin(upstream, '/first')
  await first.arrived
  const left = callAndLeave(upstream)
  const last = begin(upstream, '/last')
  setFlagsFromString('--expose-gc')
  const collectGarbage: unknown = runInNewContext('gc')
  if (typeof collectGarbage !== 'function') throw new Error('there is no gc')
  // A weak reference holds until the end of the task that made or followed it.
  for (let round = 0; round < 20; round++) {
    await setImmediate()
    collectGarbage()
  }
  expect(left.map((reference) => reference.deref())).toEqual([undefined, undefined])
  // It still stands in the line, and is passed over.
  expect(upstream.pool.load()).toEqual({ running: 1, waiting: 2 })
  held.shift()?.end()
  await last.arrived
  expect(paths).toEqual(['/v1/first', '/v1/last'])
  // Passing it over did not cost the connection.
  expect(connections()).toBe(1)
})

function callAndLeave(target: Upstream): readonly WeakRef<object>[] {
  const observer = observe(ignore)
  const { exchange, body } = send(target, '/left', observer)
  exchange.abort()
  return [new WeakRef(observer), new WeakRef(body.buffer)]
}

function begin(target: Upstream, path: string): { readonly arrived: Promise<unknown> } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const head = observe(() => {
    resolve(undefined)
  })
  send(target, path, head)
  return { arrived: promise }
}

function send(
  upstream: Upstream,
  path: string,
  observer: UpstreamObserver,
): { readonly exchange: UpstreamExchange; readonly body: Buffer } {
  const body = Buffer.alloc(1_000_000, 'x')
  const times = { firstByteTimeoutMs: 180_000, idleTimeoutMs: 180_000 }
  const call = { method: 'POST', path, body, headers: {}, ...times } as const
  return { exchange: callUpstream(upstream, call, observer), body }
}

function ignore(): void {
  // These tests look at beginnings only.
}

function observe(onResponse: () => void): UpstreamObserver {
  return { onResponse, onData: ignore, onEnd: ignore, onFailure: ignore }
}

/** One connection, and answers that do not end by themselves. */
async function openBusyUpstream(): Promise<{
  readonly upstream: Upstream
  readonly held: ServerResponse[]
  readonly paths: string[]
  /** How many there were. */
  readonly connections: () => number
}> {
  const held: ServerResponse[] = []
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(request.url ?? '')
    request.resume().once('end', () => {
      held.push(response)
      response.writeHead(200).write('begun')
    })
  })
  let connected = 0
  server.on('connection', () => {
    connected++
  })
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const origin = `http://127.0.0.1:${port}`
  const pool = createRenewedPool(() => new Pool(origin, { connections: 1 }), Date.now)
  onTestFinished(async () => {
    await pool.destroy()
    server.closeAllConnections()
    server.close()
  })
  const behaviour = {
    attempts: 1,
    maxDelayMs: 0,
    firstByteTimeoutMs: 180_000,
    idleTimeoutMs: 180_000,
    totalTimeoutMs: 180_000,
    drainMs: 0,
  }
  const upstream: Upstream = {
    name: 'busy',
    kind: 'openai',
    dialect: 'openai',
    host: '127.0.0.1',
    basePath: '/v1',
    credential: undefined,
    pool,
    behaviour,
    rest: createUpstreamRest(0),
  }
  return { upstream, held, paths, connections: () => connected }
}
