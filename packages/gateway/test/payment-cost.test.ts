import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('./ledger/measure-refusals.ts', import.meta.url))

test('no header makes the gateway work for long before a signature is checked', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=source', program])
  const results: readonly { name: string; code: string; cpuMicroseconds: number }[] =
    JSON.parse(stdout)
  expect(results.length).toBeGreaterThan(10)
  expect(results.map(({ name, code }) => `${name} ${code}`)).toEqual([
    'good accepted',
    'wrongToken payment-asset-mismatch',
    'wrongAmount payment-amount-mismatch',
    'deep payment-malformed',
    'wide payment-malformed',
    'escapes payment-version-unsupported',
    'spaces payment-version-unsupported',
    'members payment-version-unsupported',
    'noise payment-malformed',
    'notBase64 payment-malformed',
    'tooLong payment-malformed',
  ])
  // The goal is 200 µs, and the program shows it. A busy machine may take five times as long; a quadratic reader would
  // take a hundred times as long.
  const slow = results.filter(({ cpuMicroseconds }) => cpuMicroseconds > 2000)
  expect(slow).toEqual([])
})
