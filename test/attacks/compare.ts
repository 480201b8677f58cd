/** Attacks our gateway and the stock server in the same way, keeps what was seen, and writes the table of the docs. */
import { readFileSync, writeFileSync } from 'node:fs'
import { schemes, type Scheme } from './attack.ts'
import { catalogue } from './catalogue.ts'
import { startOwnNetwork, type AttackedNetwork } from './drivers/own-network.ts'
import { startStockNetwork } from './drivers/stock-network.ts'
import { createPayer } from './payers/create-payer.ts'
import { verdictOf } from './report.ts'
import { runSuite, type AttackResult } from './run-suite.ts'

/** What was seen of one attack on one server by one scheme. */
export type Seen = { readonly verdict: string; readonly detail: string; readonly date: string }

/** By server, scheme and attack. */
export type Results = Record<string, Record<string, Record<string, Seen>>>

/** How to compare. */
export type CompareOptions = {
  readonly schemes: readonly Scheme[]
  readonly only: ReadonlySet<string>
  readonly repeats: number
  readonly seed: number
  readonly onResult: (result: AttackResult) => void
}

const resultsFile = new URL('results.json', import.meta.url)
const documentFile = new URL('../../docs/security/payments.md', import.meta.url)
const begin = '<!-- npm run attack -- --compare: begin -->'
const end = '<!-- end -->'

const servers: Readonly<Record<string, (scheme: Scheme) => Promise<AttackedNetwork>>> = {
  stock: startStockNetwork,
  ours: startOwnNetwork,
}

/** Runs the attacks on both and writes results and table; attacks that were not chosen keep what was seen before. */
export async function writeComparison(options: CompareOptions): Promise<void> {
  for (const [name, start] of Object.entries(servers)) {
    for (const scheme of options.schemes) {
      const seen = await attack(await start(scheme), scheme, options)
      // Read only now: another process may be at another scheme.
      const results = readResults()
      const byScheme = (results[name] ??= {})
      byScheme[scheme] = { ...byScheme[scheme], ...seen }
      writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`)
    }
  }
  writeFileSync(documentFile, withTable(readFileSync(documentFile, 'utf8'), readResults()))
}

/** What was seen the last time. */
export function readResults(): Results {
  const results: Results = JSON.parse(readFileSync(resultsFile, 'utf8'))
  return results
}

/** The document with the table of these results. */
export function withTable(document: string, results: Results): string {
  const [before, rest] = [document.indexOf(begin), document.indexOf(end)]
  if (before < 0 || rest < before) throw new Error('the document has no place for the table')
  const head = document.slice(0, before + begin.length)
  return `${head}\n${createTable(results)}\n${document.slice(rest)}`
}

async function attack(
  { url, rpcUrl, request, driver }: AttackedNetwork,
  scheme: Scheme,
  options: CompareOptions,
): Promise<Record<string, Seen>> {
  try {
    const payer = createPayer(scheme, await driver.createPayerKey())
    const all = { url, rpcUrl, request, driver, scheme, payer, ...options }
    const date = new Date().toISOString().slice(0, 10)
    const seen = await runSuite(all)
    return Object.fromEntries(
      seen.map((result) => {
        const { outcome } = result
        const without = outcome.kind === 'passed' ? outcome.without : []
        const rest = without.length === 0 ? '' : `; not judged: ${without.join(', ')}`
        return [result.id, { verdict: verdictOf(result), detail: `${outcome.detail}${rest}`, date }]
      }),
    )
  } finally {
    await driver.stop()
  }
}

function createTable(results: Results): string {
  const rows = catalogue.map(
    ({ id, title, mechanism, area }) =>
      `| ${id} | ${title} | ${area === 'client' && id !== 'T46' ? 'stock clients are not attacked here' : cell(results['stock'], id)} | ${cell(results['ours'], id)} | ${mechanism} |`,
  )
  return ['| | Attack | Stock 2.27 | Ours | By |', '|-|-|-|-|-|', ...rows].join('\n')
}

const names: Readonly<Record<Scheme, string>> = {
  exact: 'exact',
  upto: 'upto',
  'batch-settlement': 'batch',
}

/** Schemes with the same verdict are named together; a failure says what was seen, with the figures of the first of them. */
function cell(byScheme: Results[string] | undefined, id: string): string {
  const groups = new Map<string, { readonly text: string; readonly list: string[] }>()
  for (const scheme of schemes) {
    const seen = byScheme?.[scheme]?.[id]
    if (seen === undefined || seen.verdict === 'not-applicable') continue
    const text =
      seen.verdict === 'failed' || seen.verdict === 'broken-off'
        ? `${verdicts[seen.verdict]} (${clean(seen.detail)})`
        : verdicts[seen.verdict]
    const key = (text ?? seen.verdict).replaceAll(/[\d.]+/g, '#')
    const group = groups.get(key) ?? { text: text ?? seen.verdict, list: [] }
    group.list.push(names[scheme])
    groups.set(key, group)
  }
  if (groups.size === 0) return 'not applicable'
  return [...groups.values()].map(({ text, list }) => `${list.join(', ')}: ${text}`).join('; ')
}

const verdicts: Readonly<Record<string, string>> = {
  passed: 'passed',
  failed: '**failed**',
  'broken-off': 'broken off',
  'passed-in-part': 'passed in part',
  'not-run': 'not run',
}

function clean(text: string): string {
  return text.replaceAll('|', '/').replaceAll('\n', ' ').slice(0, 100)
}
