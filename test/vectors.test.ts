import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { errorCodes } from '@countersign/protocol/errors'
import { expect, test } from 'vitest'
import { generateVectors } from './vectors/generate.ts'

const root = new URL('..', import.meta.url)
const generated = await generateVectors()

test('the committed vectors are those of a fresh generation', () => {
  expect(generated.size).toBe(8)
  for (const [path, text] of generated) {
    expect(readFileSync(new URL(path, root), 'utf8') === text, path).toBe(true)
  }
})

test('the vectors stay below 2.8 MB', () => {
  const sizes = Array.from(generated.values(), (text) => Buffer.byteLength(text))
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(2_800_000)
})

const coded = ['vectors/cbor.json', 'vectors/operator-terms.json', 'vectors/signed-policies.json']

test('every error code occurs in the vectors, and no other', () => {
  const found = new Set<string>()
  for (const path of coded) {
    for (const { expect: outcome } of readCases(path)) {
      if (typeof outcome.code === 'string') found.add(outcome.code)
    }
  }
  for (const { expect: outcome } of readCases('vectors/bundles.json')) {
    for (const [, status, code] of outcome.checks ?? []) if (status === 'failed') found.add(code)
  }
  expect([...found].toSorted()).toEqual([...errorCodes].toSorted())
})

test('every clause that a vector cites stands in the specification', () => {
  const text = readSpecification()
  const clauses = new Set(Array.from(text.matchAll(/\*\*([A-Z]{2}\d+\.\d+)\*\*/g), ([, id]) => id))
  const sections = new Set(Array.from(text.matchAll(/^## ([A-Z]{2}\d+) /gm), ([, id]) => id))
  expect(clauses.size).toBeGreaterThan(60)
  const cited = [...generated.keys()].flatMap(readCases).map(({ clause }) => clause)
  expect(cited.length).toBeGreaterThan(500)
  expect(cited.filter((clause) => !clauses.has(clause) && !sections.has(clause))).toEqual([])
})

test('every error code is defined in the specification', () => {
  const text = readSpecification()
  expect([...errorCodes].filter((code) => !text.includes(`\`${code}\``))).toEqual([])
})

function readSpecification(): string {
  const folder = fileURLToPath(new URL('spec/', root))
  const files = readdirSync(folder).filter((name) => name.endsWith('.md'))
  expect(files.length).toBeGreaterThan(2)
  return files.map((name) => readFileSync(`${folder}${name}`, 'utf8')).join('\n')
}

type Case = {
  readonly clause: string
  readonly expect: {
    readonly code?: string
    readonly checks?: readonly (readonly [string, string, string])[]
  }
}

function readCases(path: string): readonly Case[] {
  const cases: readonly Case[] = JSON.parse(generated.get(path) ?? '[]')
  return cases
}
