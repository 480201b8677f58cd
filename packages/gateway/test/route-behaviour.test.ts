import { expect, test } from 'vitest'
import { configSchema } from '../src/config/schema.ts'
import { createRouteBehaviour } from '../src/upstream/route-behaviour.ts'

const config = configSchema.parse({
  issuer: 'x',
  listen: { port: 0 },
  dataDir: 'data',
  upstreams: [{ name: 'a', baseUrl: 'https://a.invalid/v1' }],
  payment: 'none',
  attestation: { kind: 'simulated' },
  limits: { firstByteTimeoutMs: 1, idleTimeoutMs: 2, totalTimeoutMs: 3 },
})

test('a route behaves as the limits say, and makes one attempt, unless it is told otherwise', () => {
  expect(createRouteBehaviour(config, {})).toEqual({
    attempts: 1,
    maxDelayMs: 0,
    firstByteTimeoutMs: 1,
    idleTimeoutMs: 2,
    totalTimeoutMs: 3,
    drainMs: 0,
  })
})

test('what a model says goes before its upstream, member by member, and that before the limits', () => {
  const upstream = {
    timeouts: { firstByteMs: 10, idleMs: 20 },
    retry: { attempts: 3, maxDelayMs: 30 },
    onDisconnect: { drain: { maxMs: 40 } },
  }
  expect(createRouteBehaviour(config, upstream)).toEqual({
    attempts: 3,
    maxDelayMs: 30,
    firstByteTimeoutMs: 10,
    idleTimeoutMs: 20,
    totalTimeoutMs: 3,
    drainMs: 40,
  })
  const model = {
    timeouts: { idleMs: 200, totalMs: 300 },
    retry: { attempts: 1, maxDelayMs: 0 },
    onDisconnect: 'abort',
  } as const
  expect(createRouteBehaviour(config, upstream, model)).toEqual({
    attempts: 1,
    maxDelayMs: 0,
    firstByteTimeoutMs: 10,
    idleTimeoutMs: 200,
    totalTimeoutMs: 300,
    drainMs: 0,
  })
})
