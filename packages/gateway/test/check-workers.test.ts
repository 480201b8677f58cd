import { expect, test } from 'vitest'
import { shareConfig } from '../src/config/check-workers.ts'
import { parseConfig } from '../src/config/load-config.ts'
import type { Config } from '../src/config/schema.ts'
import { createConfig } from './support/start-gateway.ts'

function parse(members: Readonly<Record<string, unknown>>): Config {
  return parseConfig(JSON.stringify({ ...createConfig({}), ...members }), '/etc/countersign').config
}

const upstream = { name: 'one', baseUrl: 'https://provider.invalid/v1' }

test.each([
  ['limits.maxHeldRequestBytes', { limits: { maxHeldRequestBytes: 67_108_863 } }],
  ['limits.maxCalls', { limits: { maxCalls: 1 } }],
  [
    'connections',
    { upstreams: [{ ...upstream, connections: 1, models: [{ id: '*', priceAtomic: '1' }] }] },
  ],
])('refuses several workers with %s, which one process serves', (name, members) => {
  expect(parse(members).workers).toBe(1)
  expect(() => parse({ ...members, workers: 2 })).toThrow(name)
})

test.each([0, 65, '2'])('refuses %s as a number of workers', (workers) => {
  expect(() => parse({ workers })).toThrow('workers')
})

test('workers share what the configuration allows: together no more and no less', () => {
  const limits = { maxCalls: 11, maxHeldRequestBytes: 200_000_001 }
  const models = [{ id: '*', priceAtomic: '1' }]
  const config = parse({ workers: 3, limits, upstreams: [{ ...upstream, connections: 8, models }] })
  const shares = [0, 1, 2].map((slot) => shareConfig(config, slot))
  const sum = (pick: (share: Config) => number): number =>
    shares.reduce((all, share) => all + pick(share), 0)
  expect(sum((share) => share.limits.maxCalls)).toBe(11)
  expect(sum((share) => share.limits.maxHeldRequestBytes)).toBe(200_000_001)
  expect(shares.map((share) => share.upstreams[0]?.connections)).toEqual([3, 3, 2])
  expect(shares[0]?.limits.drainTimeoutMs).toBe(config.limits.drainTimeoutMs)
})
