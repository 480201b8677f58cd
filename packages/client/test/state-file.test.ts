/** Files that a payer must not lose: what a symbolic link points to is the file. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addKey, readKeyAddresses } from '../src/charge-key/key-file.ts'
import { openStateFile } from '@countersign/client/state-file'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string
let place: string
let link: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-state-'))
  place = join(folder, 'place')
  link = join(folder, 'link')
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

test('writes to what a link points to, and leaves the link', async () => {
  writeFileSync(place, 'before', { mode: 0o600 })
  symlinkSync(place, link)
  const state = await openStateFile(link)
  await state.write(new TextEncoder().encode('after'))
  expect(readFileSync(place, 'utf8')).toBe('after')
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  await state.close()
})

test('one file with two names is one payer', async () => {
  writeFileSync(place, '', { mode: 0o600 })
  symlinkSync(place, link)
  const state = await openStateFile(link)
  await expect(openStateFile(place)).rejects.toMatchObject({ code: 'state-in-use' })
  await state.close()
  const again = await openStateFile(place)
  await expect(openStateFile(link)).rejects.toMatchObject({ code: 'state-in-use' })
  await again.close()
})

test('a new charge key comes into the file that a link points to', async () => {
  const first = await addKey(place)
  symlinkSync(place, link)
  const second = await addKey(link)
  expect(await readKeyAddresses(place)).toEqual([first, second])
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
})

test('a link to nothing, a folder, and a lock that cannot be made are named as what they are', async () => {
  symlinkSync(place, link)
  await expect(openStateFile(link)).rejects.toMatchObject({ code: 'file-unwritable' })
  mkdirSync(place)
  const state = await openStateFile(place)
  await expect(state.read()).rejects.toThrow(/file-unreadable: .*is a folder/)
  await state.close()
  const other = join(folder, 'other')
  mkdirSync(`${other}.lock`)
  await expect(openStateFile(other)).rejects.toMatchObject({ code: 'file-unwritable' })
})
