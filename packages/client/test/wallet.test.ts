import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { privateKeyToAddress } from 'viem/accounts'
import { decryptKeystore, encryptKeystore } from '../src/wallet/keystore.ts'
import { refusalOf } from './kit/fetch-fixture.ts'
import { runCliProcess } from './kit/run-cli-process.ts'

const key = '7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
const address = privateKeyToAddress(`0x${key}`)
const password = Buffer.from('testpassword')
// Small, so that tests are quick; the form is the same.
const scryptCost = 1024
let folder: string

// The example of the published definition of the format. Its other one has parameters that RFC 7914 forbids.
const published = {
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
  id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
  version: 3,
} as const

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-wallet-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('reads the published example', async () => {
  const file = Buffer.from(JSON.stringify(published))
  expect((await decryptKeystore(file, password)).address).toBe(address)
})

test('what it writes it reads, with this password only', async () => {
  const text = await encryptKeystore(Buffer.from(key, 'hex'), password, scryptCost)
  expect(text).not.toContain(key)
  const file = Buffer.from(text)
  expect((await decryptKeystore(file, password)).address).toBe(address)
  for (const wrong of ['', 'testpasswor', 'testpassword ', 'Testpassword']) {
    expect(await refusalOf(decryptKeystore(file, Buffer.from(wrong)))).toBe('keystore-password')
  }
})

test('a changed file never gives another key', async () => {
  const text = await encryptKeystore(Buffer.from(key, 'hex'), password, scryptCost)
  const hex = Array.from(text.matchAll(/"[0-9a-f]{32,}"|"[0-9a-f]{40}"/g))
  expect(hex.length).toBeGreaterThanOrEqual(5)
  for (const { index } of hex) {
    const at = index + 5
    const turned = text.charAt(at) === '0' ? '1' : '0'
    const file = Buffer.from(`${text.slice(0, at)}${turned}${text.slice(at + 1)}`)
    // A changed initial vector passes the MAC: then the address is what shows it.
    expect(await refusalOf(decryptKeystore(file, password))).toMatch(
      /^keystore-(password|malformed)$/,
    )
  }
})

test.each([
  ['no JSON', () => 'x'],
  ['another version', (text: string) => text.replace('"version": 3', '"version": 1')],
  ['another cipher', (text: string) => text.replace('aes-128-ctr', 'aes-128-cbc')],
  ['another derivation', (text: string) => text.replace('"scrypt"', '"argon2"')],
  ['a cost of more than 1 GiB', (text: string) => text.replace('"n": 1024', '"n": 2097152')],
  ['a cost that is no power of 2', (text: string) => text.replace('"n": 1024', '"n": 1000')],
  [
    'a cost that is too large for its blocks',
    (text: string) => text.replace('"n": 1024', '"n": 65536').replace('"r": 8', '"r": 1'),
  ],
  ['a parallelism without bound', (text: string) => text.replace('"p": 1', '"p": 1000000')],
  ['a short MAC', (text: string) => text.replace(/"mac": "../, '"mac": "')],
  ['a key of another length', (text: string) => text.replace('"dklen": 32', '"dklen": 16')],
  ['a member twice', (text: string) => text.replace('{', '{"version": 3,')],
  ['too many bytes', (text: string) => text + ' '.repeat(70_000)],
])('refuses %s before it does any work', async (_, change) => {
  const text = await encryptKeystore(Buffer.from(key, 'hex'), password, scryptCost)
  expect(change(text)).not.toBe(text)
  expect(await refusalOf(decryptKeystore(Buffer.from(change(text)), password))).toBe(
    'keystore-malformed',
  )
})

test('the command makes a file that only its owner reads, and never overwrites one', async () => {
  const keystore = join(folder, 'wallet.json')
  const keyFile = join(folder, 'key')
  const passwordFile = join(folder, 'password')
  await writeFile(keyFile, `0x${key}\n`)
  await writeFile(passwordFile, 'testpassword\n')
  const importArgs = `wallet import --keystore ${keystore} --key-file ${keyFile}`.split(' ')
  importArgs.push('--password-file', passwordFile)
  const made = await runCliProcess(importArgs)
  expect(made).toMatchObject({ code: 0, out: `${address.toLowerCase()}\n` })
  expect((await stat(keystore)).mode & 0o777).toBe(0o600)
  const before = await readFile(keystore)
  const again = await runCliProcess(['wallet', 'create', '--keystore', keystore], {
    COUNTERSIGN_WALLET_PASSWORD: 'x',
  })
  expect(again.code).toBe(73)
  expect(await readFile(keystore)).toEqual(before)
  const environment = { COUNTERSIGN_WALLET_PASSWORD: 'testpassword' }
  const verify = ['wallet', 'address', '--verify', '--keystore', keystore]
  expect(await runCliProcess(verify, environment)).toMatchObject({ code: 0 })
  const wrong = await runCliProcess(verify, { COUNTERSIGN_WALLET_PASSWORD: 'other' })
  expect(wrong).toMatchObject({ code: 69, out: '' })
  expect(wrong.err).toContain('keystore-password')
  expect((await runCliProcess(verify)).err).toContain('no terminal to ask at')
  await chmod(keystore, 0o644)
  expect((await runCliProcess(verify, environment)).err).toContain('chmod 600')
})
