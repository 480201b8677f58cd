import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { privateKeyToAddress } from 'viem/accounts'
import { expect, test } from 'vitest'
import { loadEvmCurve, loadPortableCurve } from '../src/payment/evm-curve.ts'

const program = fileURLToPath(new URL('./ledger/compare-vouchers.ts', import.meta.url))

test('the native library is used where it is prebuilt, and agrees with the portable one', async () => {
  const native = await loadEvmCurve()
  const portable = await loadPortableCurve()
  const isPrebuilt = ['linux-x64', 'darwin-arm64', 'win32-x64'].includes(
    `${process.platform}-${process.arch}`,
  )
  expect(native.implementation).toBe(isPrebuilt ? 'native' : 'portable')
  expect(portable.implementation).toBe('portable')
  for (let index = 0; index < 20; index++) {
    const [key, digest] = [randomBytes(32), randomBytes(32)]
    const signature = native.sign(digest, key)
    expect(portable.sign(digest, key)).toEqual(signature)
    const address = Buffer.from(native.recoverAddress(digest, signature) ?? []).toString('hex')
    expect(`0x${address}`).toBe(privateKeyToAddress(`0x${key.toString('hex')}`).toLowerCase())
    expect(portable.recoverAddress(digest, signature)).toEqual(
      native.recoverAddress(digest, signature),
    )
  }
})

test('the hash of the hot path is the one of the portable code, at every length up to five blocks', async () => {
  const curve = await loadEvmCurve()
  for (let length = 0; length <= 5 * 136 + 1; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 167 + length * 31) % 256)
    expect(curve.keccak256(bytes), String(length)).toEqual(keccak256(bytes))
  }
})

test('a hash stays what it is when the next one is made', async () => {
  const { keccak256: hash } = await loadEvmCurve()
  const first = hash(Uint8Array.of(1))
  hash(Uint8Array.of(2))
  expect(first).toEqual(keccak256(Uint8Array.of(1)))
})

test('what no key can have signed has no address, and what is no key signs nothing', async () => {
  for (const curve of [await loadEvmCurve(), await loadPortableCurve()]) {
    // 5 is no abscissa of the curve.
    const compact = new Uint8Array(64)
    compact[31] = 5
    compact[63] = 1
    expect(curve.recoverAddress(new Uint8Array(32), { compact, recovery: 0 })).toBeUndefined()
    expect(() => curve.sign(new Uint8Array(32), new Uint8Array(32))).toThrow(RangeError)
    expect(() => curve.sign(new Uint8Array(32), new Uint8Array(31))).toThrow(RangeError)
  }
})

test('vouchers have the digests and signers that another implementation finds', async () => {
  // The long run is this program with 100000.
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=source',
    program,
    '120',
    '3',
  ])
  const tally = new Map(Object.entries(Object(JSON.parse(stdout))))
  expect(tally.get('compared')).toBe(120)
  expect(tally.get('accepted')).toBeGreaterThan(40)
  expect(tally.get('otherSigner')).toBeGreaterThan(15)
  expect(tally.get('noSigner')).toBeGreaterThan(3)
})
