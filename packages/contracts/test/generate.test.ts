import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { generateContracts } from '../src/generate.ts'

const packageRoot = new URL('../', import.meta.url)

test('the committed contracts are what the Solidity sources compile to', () => {
  const generated = generateContracts()
  const committed = readdirSync(new URL('src/generated/', packageRoot))
  expect([...generated.keys()].toSorted()).toEqual(
    committed.map((name) => `src/generated/${name}`).toSorted(),
  )
  expect(generated.size).toBeGreaterThan(0)
  for (const [path, text] of generated) {
    expect(readFileSync(new URL(path, packageRoot), 'utf8'), path).toBe(text)
  }
})
