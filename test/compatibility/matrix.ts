/** Writes the matrix of docs/compatibility.md. */
import { caseNames, type CaseName } from './client.ts'
import type { JudgedCase } from './judge-case.ts'
import type { CaseReport } from './run-clients.ts'

/** Cases that are known to fail, whose fault it is, and why. The matrix shows each; a test fails for any other. */
export const knownFaults: readonly {
  readonly client: string
  readonly case: CaseName
  readonly fault: string
  readonly why: string
}[] = [
  {
    client: '@openrouter/sdk, chat',
    case: 'refusal',
    fault: 'the error does not show what we said',
    why: 'It throws, and the body is in `error.body`, but as `ResponseValidationError`: it wants the numeric `error.code` of OpenRouter, where OpenAI and therefore the gateway write a word.',
  },
]

function keyOf(each: Pick<JudgedCase, 'client' | 'case' | 'fault'>): string {
  return `${each.client}, ${each.case}: ${String(each.fault)}`
}

/** Faults that nobody knows of, and known ones that are gone. */
export function findSurprises(judged: readonly JudgedCase[]): readonly string[] {
  const found = judged.filter(({ fault }) => fault !== null).map(keyOf)
  const known = knownFaults.map(keyOf)
  return [
    ...found.filter((fault) => !known.includes(fault)),
    ...known.filter((fault) => !found.includes(fault)).map((fault) => `no longer: ${fault}`),
  ]
}

/** The text of docs/compatibility.md. */
export function writeMatrix(
  reports: readonly CaseReport[],
  judged: readonly JudgedCase[],
  versions: ReadonlyMap<string, string>,
): string {
  const clients = [...new Set(reports.map(({ client }) => client))]
  const rows = clients.map((client) => toRow(client, reports, judged, versions))
  const receipts = judged.reduce((sum, { validReceipts }) => sum + validReceipts, 0)
  const notes = knownFaults.map(({ client, case: name, why }, index) => {
    return `${String(index + 1)}. ${client}, ${name}: ${why}`
  })
  return `# Compatibility

Written by \`npm run compatibility\`; \`test/compatibility.test.ts\` runs all of it and compares. Do not edit.

Each client runs as it is published (exact versions in \`test/compatibility/package-lock.json\`), on Node 24, against the loopback
provider through a gateway with receipts and API keys. ✓ means: the client understood the whole answer, every call had a receipt id
in its headers, and every receipt was fetched and verified offline against the bytes that the client sent and received:
${String(receipts)} receipts in this run. No real provider and no model took part.

| column | what the client does |
|-|-|
| whole | one call, the answer in one piece |
| stream | one call, the answer as a stream |
| tools | the model calls a tool; a second call with the tool's result |
| tools, streamed | the same, both answers streamed |
| refusal | a model that is not served: the client throws, and shows what the gateway said |

| client | versions | base URL | ${caseNames.join(' | ')} |
|-|-|-|${caseNames.map(() => '-').join('|')}|
${rows.join('\n')}

## Notes
${notes.join('\n')}

## Not run
- Python: no package of the Python registry can be installed where these tests run. [guides](guides/) say which base URL each client
  wants.
- \`opengradient-sdk\` is not in the registry: [guides/opengradient.md](guides/opengradient.md).
- \`@ai-sdk/xai\` speaks the responses wire only since version 5; xAI's chat wire is served to the clients of OpenAI.
`
}

function toRow(
  client: string,
  reports: readonly CaseReport[],
  judged: readonly JudgedCase[],
  versions: ReadonlyMap<string, string>,
): string {
  const report = reports.find((each) => each.client === client)
  const packages = (report?.packages ?? []).map((name) => `${name} ${versions.get(name) ?? '?'}`)
  const cells = caseNames.map((name) => {
    const found = judged.find((each) => each.client === client && each.case === name)
    if (found === undefined) return 'not run'
    if (found.fault === null) return '✓'
    const note = knownFaults.findIndex((each) => each.client === client && each.case === name)
    return note < 0 ? `✗ ${found.fault}` : `✗ (${String(note + 1)})`
  })
  return `| ${client} | ${packages.join(', ')} | \`${report?.baseUrl ?? ''}\` | ${cells.join(' | ')} |`
}
