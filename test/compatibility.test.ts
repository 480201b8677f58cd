import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { judgeCase, type JudgedCase } from './compatibility/judge-case.ts'
import { findSurprises, knownFaults, writeMatrix } from './compatibility/matrix.ts'
import { caseNames } from './compatibility/client.ts'
import type { CaseReport } from './compatibility/run-clients.ts'
import {
  findMissing,
  readVersions,
  runClients,
  runSnippets,
  startCompatibility,
  type CompatibilityGateway,
} from './compatibility/run-matrix.ts'
import { readBlocks, readSnippets } from './compatibility/snippets.ts'

const missing = findMissing()
const absence = `not installed: ${missing.join(', ')}; npm ci --prefix test/compatibility`
const matrix = new URL('../docs/compatibility.md', import.meta.url)

let gateway: CompatibilityGateway | undefined
let reports: readonly CaseReport[] = []
let judged: readonly JudgedCase[] = []

beforeAll(async () => {
  if (missing.length > 0) return
  gateway = await startCompatibility()
  const { origin, apiKey } = gateway
  reports = await runClients(origin, apiKey)
  judged = await Promise.all(reports.map(async (report) => judgeCase(origin, report)))
}, 900_000)

afterAll(async () => {
  await gateway?.stop()
})

test('every client of others does all that it can do, and every receipt is valid', ({ skip }) => {
  if (missing.length > 0) return skip(absence)
  expect(findSurprises(judged)).toEqual([])
  expect(new Set(judged.map(({ client }) => client)).size).toBeGreaterThanOrEqual(14)
  expect(judged).toHaveLength(new Set(judged.map(({ client }) => client)).size * caseNames.length)
  // One call for each case, two with tools.
  const receipts = judged.reduce((sum, { validReceipts }) => sum + validReceipts, 0)
  expect(receipts).toBe((judged.length / caseNames.length) * 7)
})

test('docs/compatibility.md is what this run would write', ({ skip }) => {
  if (missing.length > 0) return skip(absence)
  expect(readFileSync(matrix, 'utf8')).toBe(writeMatrix(reports, judged, readVersions()))
})

test('a client that reads another answer, shows nothing or sends other bytes is found', async ({
  skip,
}) => {
  if (missing.length > 0 || gateway === undefined) return skip(absence)
  const { origin } = gateway
  const [report] = reports
  const [exchange] = report?.exchanges ?? []
  if (report === undefined || exchange === undefined) throw new Error('nothing was run')
  const faultOf = async (changed: Partial<CaseReport>): Promise<string | null> =>
    (await judgeCase(origin, { ...report, ...changed })).fault
  expect(await faultOf({})).toBeNull()
  const outcome = { text: 'Something else.', calls: [] }
  expect(await faultOf({ result: { kind: 'ended', outcome } })).toContain('it read')
  expect(await faultOf({ result: { kind: 'threw', message: 'x' } })).toContain('it threw x')
  expect(await faultOf({ exchanges: [] })).toContain('0 calls')
  const response = Buffer.from(exchange.response, 'base64')
  response[10] = (response[10] ?? 0) ^ 1
  const turned = { ...exchange, response: response.toString('base64') }
  expect(await faultOf({ exchanges: [turned] })).toContain('the receipt is invalid')
  expect(await faultOf({ exchanges: [{ ...exchange, headers: {} }] })).toContain('no receipt')
  const [known] = knownFaults
  expect(findSurprises([])).toHaveLength(knownFaults.length)
  expect(findSurprises([{ client: 'x', case: 'whole', fault: 'y', validReceipts: 0 }])).toContain(
    'x, whole: y',
  )
  expect(known?.why).not.toBe('')
})

test('every block of the guides runs and prints what stands under it', async ({ skip }) => {
  if (missing.length > 0 || gateway === undefined) return skip(absence)
  const snippets = readSnippets()
  const printed = await runSnippets(gateway)
  expect(printed).toEqual(
    snippets.map(({ name, prints }) => ({ name, printed: prints, fault: null })),
  )
  expect(new Set(snippets.map(({ name }) => name.split(' ')[0])).size).toBeGreaterThanOrEqual(6)
}, 900_000)

test('a block that does not say what it prints is refused', () => {
  const fence = '```'
  const told = `${fence}ts\nconst a: number = 1\n${fence}\n${fence}text\n1\n2\n${fence}\n`
  expect(readBlocks(`# x\n${told}${told}`, 'x.md')).toMatchObject([
    { name: 'x.md 1', prints: '1\n2' },
    { name: 'x.md 2' },
  ])
  expect(() => readBlocks(`${fence}ts\nlet a\n${fence}\n`, 'x.md')).toThrow('x.md 1 does not say')
})
