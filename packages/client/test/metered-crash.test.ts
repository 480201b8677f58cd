/** A payer that dies by SIGKILL around the sending of a payment, again and again, with the real gateway and chain. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Hex } from 'viem'
import { startMeteredFixture, type MeteredFixture } from './kit/metered-fixture.ts'

const program = fileURLToPath(new URL('kit/pay-and-die.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'countersign-crash-'))
const logPath = join(folder, 'ceilings')
let fixture: MeteredFixture
let key: Hex

beforeAll(async () => {
  fixture = await startMeteredFixture()
  key = fixture.network.createChannelPayer()
})
afterAll(async () => {
  await fixture.stop()
  rmSync(folder, { recursive: true })
})

async function pay(when: 'before' | 'after' | 'never'): Promise<{
  readonly signal: unknown
  readonly text: string
}> {
  const { gateway, network } = fixture
  const args = [`${gateway.url}/v1`, network.chain.rpcUrl, key, join(folder, 'state.json'), logPath]
  const child = spawn(process.execPath, ['--conditions=source', program, ...args, when], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  const [, signal] = await once(child, 'close')
  return { signal, text }
}

test('no ceiling is signed twice, no deposit made twice, and the gateway takes no more than it served', async () => {
  // The first dies with its deposit unsent; the same deposit is shown again, and no second one beside it.
  expect((await pay('before')).signal).toBe('SIGKILL')
  expect((await pay('never')).text).toMatch(/^\d+ \d+\n$/)
  expect((await pay('after')).signal).toBe('SIGKILL')
  expect((await pay('before')).signal).toBe('SIGKILL')
  const last = await pay('never')
  const [charged = 0n, cumulative = 0n] = last.text.trim().split(' ').map(BigInt)
  // Two calls were answered; one was reserved when its payer died, and is charged what was sent to it at most.
  expect(cumulative).toBeGreaterThanOrEqual(2n * charged)
  expect(cumulative).toBeLessThanOrEqual(3n * charged + 200n)
  const ceilings = readFileSync(logPath, 'utf8').trim().split('\n').map(BigInt)
  expect(ceilings.length).toBeGreaterThanOrEqual(5)
  expect(ceilings).toEqual([...new Set(ceilings)].toSorted((a, b) => (a < b ? -1 : 1)))
  const state: {
    readonly channels: readonly {
      readonly channelId: Hex
      readonly balanceAtomic: string
      readonly signedAtomic: string
    }[]
    readonly totals: Readonly<Record<string, string>>
  } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'))
  const [channel] = state.channels
  expect(channel?.balanceAtomic).toBe('40000')
  const [deposited] = await fixture.network.channelOf(channel?.channelId ?? '0x')
  expect(deposited).toBe(40_000n)
  // All that was signed on this day counts, whoever died: the highest ceiling.
  const counted = Object.values(state.totals).reduce((sum, amount) => sum + BigInt(amount), 0n)
  expect(counted).toBe(BigInt(channel?.signedAtomic ?? 0))
  expect(counted).toBe(ceilings.at(-1))
})
