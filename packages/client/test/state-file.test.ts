/** The state of a payer in a file: links, folders, and what cannot be locked. */
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openStateFile } from '@countersign/client/state-file'
import { refusalOf } from './kit/fetch-fixture.ts'

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-state-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a link and its file are one state: one process at a time, and one content', async () => {
  const folder = createFolder()
  const path = join(folder, 'payer.json')
  const link = join(folder, 'link.json')
  const first = await openStateFile(path)
  await first.write(Buffer.from('one'))
  symlinkSync(path, link)
  expect(await refusalOf(openStateFile(link))).toBe('state-in-use')
  await first.close()
  const second = await openStateFile(link)
  expect(await refusalOf(openStateFile(path))).toBe('state-in-use')
  await second.write(Buffer.from('two'))
  await second.close()
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect(readFileSync(path, 'utf8')).toBe('two')
})

test('a link to nothing, a folder, and a lock that cannot be made are named as what they are', async () => {
  const folder = createFolder()
  const dangling = join(folder, 'dangling.json')
  symlinkSync(join(folder, 'nothing.json'), dangling)
  expect(await refusalOf(openStateFile(dangling))).toBe('file-unwritable')
  const asFolder = join(folder, 'folder')
  mkdirSync(asFolder)
  const state = await openStateFile(asFolder)
  onTestFinished(() => state.close())
  await expect(state.read()).rejects.toThrow(/file-unreadable: .*is a folder/)
  const path = join(folder, 'payer.json')
  mkdirSync(`${path}.lock`)
  expect(await refusalOf(openStateFile(path))).toBe('file-unwritable')
})
