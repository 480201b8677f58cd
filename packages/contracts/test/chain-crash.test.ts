import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { setImmediate as nextTick } from 'node:timers/promises'
import { appendFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, onTestFailed, test, vi } from 'vitest'
import {
  anvilPid,
  needsAnvil,
  payee,
  rpc,
  sender,
  senderKey,
  spawnChain,
  startLocalChain,
  temporaryDirectory,
} from './local-chain.ts'

const account = privateKeyToAccount(senderKey)
const funded = `${sender}=1000000000000000000000`

const crashTest = { ...needsAnvil, timeout: 300_000 }

type Call = (method: string, params: unknown[]) => Promise<unknown>

/** A small deterministic generator; the seed is printed when a test fails. */
function createRandom(): (below: number) => number {
  const seed = Number(process.env['COUNTERSIGN_TEST_SEED'] ?? Date.now() % 2 ** 31)
  onTestFailed(() => console.error(`COUNTERSIGN_TEST_SEED=${seed}`))
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function signTransfer(nonce: number): Promise<Hex> {
  return account.signTransaction({
    chainId: 84_532,
    type: 'eip1559',
    nonce,
    gas: 21_000n,
    to: payee,
    value: 1n,
    maxFeePerGas: 10_000_000_000n,
    maxPriorityFeePerGas: 1n,
  })
}

/** Everything a reader was ever told: it must stay true whatever dies. */
class Witness {
  readonly #blocks = new Map<number, string>()
  readonly #acknowledged = new Set<string>()

  acknowledge(hash: unknown): void {
    assert.match(String(hash), /^0x[0-9a-f]{64}$/)
    this.#acknowledged.add(String(hash))
  }

  /** Compares all blocks seen before, and notes the new ones. */
  async checkBlocks(call: Call): Promise<void> {
    const head = Number(await call('eth_blockNumber', []))
    assert.ok(head >= this.#blocks.size - 1, `block ${head} after ${this.#blocks.size} blocks`)
    for (let number = 0; number <= head; number += 1) {
      const block = Object(await call('eth_getBlockByNumber', [`0x${number.toString(16)}`, false]))
      assert.equal(block.hash, this.#blocks.get(number) ?? block.hash, `block ${number}`)
      this.#blocks.set(number, String(block.hash))
    }
  }

  /** Every acknowledged transaction is known, pending or mined. */
  async checkTransactions(call: Call): Promise<void> {
    for (const hash of this.#acknowledged) {
      const transaction = Object(await call('eth_getTransactionByHash', [hash]))
      assert.equal(transaction.hash, hash)
    }
  }

  /** Waits until all are mined, then checks each receipt. */
  async checkMined(call: Call): Promise<void> {
    const count = this.#acknowledged.size
    const isMined = async (): Promise<boolean> =>
      Number(await call('eth_getTransactionCount', [sender, 'latest'])) === count
    await vi.waitUntil(isMined, { timeout: 60_000, interval: 20 })
    for (const hash of this.#acknowledged) {
      const receipt = Object(await call('eth_getTransactionReceipt', [hash]))
      assert.equal(receipt.status, '0x1', hash)
    }
    assert.equal(Number(await call('eth_getBalance', [payee, 'latest'])), count)
  }

  get counts(): { blocks: number; transactions: number } {
    return { blocks: this.#blocks.size, transactions: this.#acknowledged.size }
  }
}

test(
  'survives kill -9 of anvil at random instants, without a caller noticing',
  crashTest,
  async () => {
    const random = createRandom()
    const directory = temporaryDirectory()
    const chain = await startLocalChain(directory, { fund: [funded], snapshotEveryRecords: 20 })
    const call: Call = (method, params) => chain.read(method, params)
    const witness = new Witness()
    const kills = 12
    let nonce = 0
    const killAnvil = (): void => {
      try {
        process.kill(anvilPid(directory), 'SIGKILL')
      } catch {
        // Between two lives.
      }
    }
    for (let kill = 0; kill < kills; kill += 1) {
      for (let calm = random(12); calm >= 0; calm -= 1) {
        witness.acknowledge(await chain.send(await signTransfer(nonce)))
        nonce += 1
      }
      await witness.checkBlocks(call)
      const raws = await Promise.all([0, 1, 2, 3].map((step) => signTransfer(nonce + step)))
      nonce += raws.length
      // The chain answers every one of these, although anvil dies under it, at times twice.
      const answers = Promise.all(raws.map((raw) => chain.send(raw)))
      for (let tick = random(600); tick > 0; tick -= 1) await nextTick()
      killAnvil()
      for (let tick = random(20_000); tick > 0; tick -= 1) await nextTick()
      if (random(3) === 0) killAnvil()
      for (const hash of await answers) witness.acknowledge(hash)
      await witness.checkBlocks(call)
      await witness.checkTransactions(call)
    }
    await witness.checkMined(call)
    await witness.checkBlocks(call)
    expect(witness.counts.transactions).toBe(nonce)
    expect(witness.counts.blocks).toBeGreaterThan(kills)
    // Snapshots were taken meanwhile: the journal does not begin at genesis any more.
    expect(readdirSync(directory)).toContain('snapshot.json')
    expect(readdirSync(directory)).not.toContain('journal-0.ndjson')
    await chain.close()

    const reopened = await startLocalChain(directory, { startMs: 1_795_000_000_000 })
    const again: Call = (method, params) => reopened.read(method, params)
    await witness.checkBlocks(again)
    await witness.checkMined(again)
  },
)

test('survives kill -9 of the whole chain at random instants', crashTest, async () => {
  const random = createRandom()
  const directory = temporaryDirectory()
  const start = () => spawnChain(directory, ['--fund', funded, '--snapshot-every', '12'])
  let chain = await start()
  const call: Call = async (method, params) => {
    const { result, error } = await rpc(chain.port, method, params)
    expect(error, method).toBeUndefined()
    return result
  }
  const witness = new Witness()
  const kills = 6
  let nonce = 0
  for (let kill = 0; kill < kills; kill += 1) {
    for (let calm = 3 + random(20); calm >= 0; calm -= 1) {
      witness.acknowledge(await call('eth_sendRawTransaction', [await signTransfer(nonce)]))
      nonce += 1
    }
    // At least one block has to come between two kills.
    const { blocks } = witness.counts
    await vi.waitUntil(
      async () => Number(await call('eth_blockNumber', [])) >= Math.max(blocks, 1),
      { timeout: 60_000, interval: 20 },
    )
    await witness.checkBlocks(call)
    const raw = await signTransfer(nonce)
    nonce += 1
    const answer = rpc(chain.port, 'eth_sendRawTransaction', [raw]).catch(() => undefined)
    for (let tick = random(200); tick > 0; tick -= 1) await nextTick()
    const ended = once(chain.child, 'exit')
    chain.child.kill('SIGKILL')
    await ended
    const answered = await answer
    if (answered?.result !== undefined) witness.acknowledge(answered.result)
    if (kill % 2 === 0) tearLastLine(directory)
    chain = await start()
    await witness.checkBlocks(call)
    await witness.checkTransactions(call)
    // Whether or not the first attempt was heard: sending it again is success.
    witness.acknowledge(await call('eth_sendRawTransaction', [raw]))
  }
  await witness.checkMined(call)
  await witness.checkBlocks(call)
  expect(witness.counts.transactions).toBe(nonce)
  expect(witness.counts.blocks).toBeGreaterThan(kills)
})

/** What a crash in the middle of a write leaves. */
function tearLastLine(directory: string): void {
  const segments = readdirSync(directory).filter((name) => name.endsWith('.ndjson'))
  assert.ok(segments.length > 0)
  for (const name of segments) appendFileSync(join(directory, name), '{"t":"0x02f8')
}
