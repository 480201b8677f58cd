/** What a start has opened is closed again when a later step of it fails. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { expect, test } from 'vitest'
import { parseConfig } from '../src/config/load-config.ts'
import { createConfig } from './support/start-gateway.ts'

const onChain = {
  network: 'eip155:84532',
  asset: baseSepoliaUsdc.address,
  assetName: 'USDC',
  assetVersion: '2',
  payTo: `0x${'22'.repeat(20)}`,
  // Nobody answers there: the gate asks again and again.
  rpcUrl: 'http://127.0.0.1:1',
}
const upto = { ...onChain, settler: `0x${'33'.repeat(20)}` }
const program = fileURLToPath(new URL('./payment/failing-start.ts', import.meta.url))

test.each([
  ['with metered schemes', { exact: onChain, upto, apiKeys: { asset: 'credits' } }],
  ['with a collector of its own', { exact: onChain, collect: { minAtomic: '1' } }],
] as const)('a start that fails leaves nothing open, %s', (_, payment) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-start-'))
  const dataDir = join(folder, 'data')
  // The ledger of exact, which is opened after all others, cannot be opened.
  mkdirSync(join(dataDir, 'payments.db'), { recursive: true })
  const text = JSON.stringify(createConfig({ config: { payment, dataDir } }))
  const { config } = parseConfig(text, folder)
  // A process that holds nothing open ends by itself, and another start finds all ledgers free.
  const child = spawnSync(
    process.execPath,
    ['--conditions=source', program, JSON.stringify(config)],
    {
      timeout: 30_000,
      encoding: 'utf8',
    },
  )
  expect({ stdout: child.stdout, status: child.status }, child.stderr).toEqual({
    stdout: 'refused\nopened\nclosed\n',
    status: 0,
  })
  rmSync(folder, { recursive: true })
})
