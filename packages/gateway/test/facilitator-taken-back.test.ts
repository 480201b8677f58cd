/** Settlements of a facilitator that a reorganisation takes back (spec/payment.md PA27.11). */
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { encodeAbiParameters, keccak256, type Hex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, askExact, reasonOf, shopAddress } from './facilitator/ask.ts'
import { createFacilitatorSetup } from './facilitator/facilitator-process.ts'
import { startBareChain, type BareChain } from './payment/bare-chain.ts'
import { balanceOf } from './payment/exact-scheme.ts'

let chain: BareChain
beforeAll(async () => {
  chain = await startBareChain()
})
afterAll(() => chain.stop())

const soon = { timeout: 20_000 }
const paid = (): Promise<bigint> => balanceOf(chain, shopAddress)

async function countOf(url: string, result: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const line = `settlements_taken_back_total{network="eip155:84532",result="${result}"} `
  const [, rest = 'none'] = metrics.split(line)
  return Number.parseInt(rest, 10)
}

test('what is taken back is told of and sent again, by a later process, too, and never answered twice', async () => {
  const before = await paid()
  const setup = createFacilitatorSetup(chain)
  const first = await setup.serve()
  const body = await askExact(chain.nextPayer())
  const settled = await ask(first, 'settle', body)
  expect(settled.body).toMatchObject({ success: true })
  expect(await paid()).toBe(before + 1000n)
  await chain.reorganise(1)
  expect(await paid()).toBe(before)
  await expect.poll(paid, soon).toBe(before + 1000n)
  await expect.poll(() => countOf(first, 'settled-again'), soon).toBe(1)
  expect(await countOf(first, 'taken-back')).toBe(1)
  expect(reasonOf(await ask(first, 'settle', body))).toBe('invalid_exact_evm_nonce_already_used')
  // While no process runs.
  await setup.stopServing()
  await chain.reorganise(1)
  expect(await paid()).toBe(before)
  const second = await setup.serve()
  await expect.poll(paid, soon).toBe(before + 1000n)
  await expect.poll(() => countOf(second, 'settled-again'), soon).toBe(1)
  expect(await countOf(second, 'lost')).toBe(0)
})

test('a settlement whose payer has nothing on the other fork is lost, and its operator is told', async () => {
  const setup = createFacilitatorSetup(chain)
  const url = await setup.serve()
  const payer = chain.nextPayer()
  const before = await paid()
  expect((await ask(url, 'settle', await askExact(payer))).body).toMatchObject({ success: true })
  await chain.call('anvil_rollback', 1)
  await chain.call('anvil_setStorageAt', ...emptied(payer.address))
  await chain.mine(2)
  await expect.poll(() => countOf(url, 'lost'), soon).toBe(1)
  expect([await countOf(url, 'taken-back'), await paid()]).toEqual([1, before])
})

/** Where test USDC keeps this balance, and nothing to put there. */
function emptied(owner: Hex): readonly [string, Hex, Hex] {
  const place = encodeAbiParameters([{ type: 'address' }, { type: 'uint256' }], [owner, 0n])
  return [baseSepoliaUsdc.address, keccak256(place), `0x${'0'.repeat(64)}`]
}
