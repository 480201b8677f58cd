import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFacilitatorSetup } from './facilitator/facilitator-process.ts'
import { shopAddress } from './facilitator/ask.ts'
import { balanceOf } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { nextPayerKey } from './payment/channel-fixture.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const guide = readFileSync(new URL('../../../docs/guides/facilitator.md', import.meta.url), 'utf8')

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

/** The one block of this language. */
function blockOf(language: string): string {
  const found = Array.from(guide.matchAll(/^```(\w+)\n([^]*?)^```$/gm)).filter(
    ([, name]) => name === language,
  )
  expect(found).toHaveLength(1)
  return found[0]?.[2] ?? ''
}

/** A stock client that buys from the server of the guide. */
const buyer = `
import { ExactEvmScheme as Client } from '@x402/evm/exact/client'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { privateKeyToAccount } from 'viem/accounts'
const client = new x402Client().register('eip155:*', new Client(privateKeyToAccount(process.env.PAYER)))
const buy = wrapFetchWithPayment((input, init) => app.fetch(new Request(input, init)), client)
const answer = await buy('http://shop.test/report')
console.log(answer.status, await answer.text())
`

test('the blocks of the guide run: a key, a configuration, a stock server that is paid', async () => {
  const made: unknown = JSON.parse(execFileSync('sh', ['-c', blockOf('sh')], { encoding: 'utf8' }))
  const { key, keySha256 } = Object(made)
  const config: unknown = JSON.parse(blockOf('json').replace('<keySha256>', keySha256))
  const [network] = Object(config).networks
  // Only the node and the port are other ones here.
  const url = await createFacilitatorSetup(chain).serve({
    ...Object(config),
    listen: { port: 0 },
    networks: [{ ...network, rpcUrl: chain.rpcUrl }],
    anonymous: false,
  })
  const child = spawn(process.execPath, ['--input-type=module', '-e', blockOf('js') + buyer], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      FACILITATOR_KEY: key,
      FACILITATOR_URL: url,
      PAYER: nextPayerKey(chain),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  await once(child, 'close')
  expect(printed).toBe('200 the report\n')
  expect(await balanceOf(chain, shopAddress)).toBe(10_000n)
})
