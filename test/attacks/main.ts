/**
 * `npm run attack`: the attack suite against an x402 server. Exit code 1 when an attack succeeds, 2 for wrong options.
 *
 * Without --url it starts a network of its own and attacks that.
 */
import type { PaidRequest } from './wire.ts'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Hex } from 'viem'
import { schemes, type Scheme } from './attack.ts'
import { catalogue } from './catalogue.ts'
import type { AttackedNetwork } from './drivers/own-network.ts'
import { createPayer } from './payers/create-payer.ts'
import { countVerdicts, describeResult, verdictOf } from './report.ts'
import { runSuite, type AttackResult } from './run-suite.ts'

const usage = `npm run attack -- [options]

  --url URL             the server; without it a network is started here and attacked
  --scheme S            exact, upto or batch-settlement; without --url default: all three
  --path PATH           a paid route, default /v1/chat/completions
  --body TEXT           a body that it answers (--body-file FILE)
  --rpc-url URL         a node of the chain that the offers name
  --payer-key-env NAME  variable with the private key of a funded payer (--payer-key-file FILE)
  --only T1,T9          only these
  --repeats N           how often to repeat what is repeated, default 100
  --seed N              for what is random, default 1
  --compare             attack our gateway and the stock server; writes docs/security/payments.md
  --json                one JSON document instead of lines

The payer pays: use a key that holds little. Against a server that is not yours, ask first.
`

class UsageError extends Error {}

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    scheme: { type: 'string' },
    path: { type: 'string', default: '/v1/chat/completions' },
    body: { type: 'string' },
    'body-file': { type: 'string' },
    'rpc-url': { type: 'string' },
    'payer-key-env': { type: 'string' },
    'payer-key-file': { type: 'string' },
    only: { type: 'string' },
    repeats: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    compare: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    stock: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${usage}`)
  process.exitCode = 2
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  if (values.compare) {
    const { writeComparison } = await import('./compare.ts')
    const chosen = values.scheme === undefined ? schemes : [schemeOf(values.scheme)]
    await writeComparison({ schemes: chosen, ...common(), onResult: progress })
    return 0
  }
  const results = values.url === undefined ? await attackHere() : await attackThere(values.url)
  if (values.json)
    process.stdout.write(`${JSON.stringify({ results: results.map(toJson) }, null, 1)}\n`)
  else process.stdout.write(`${countVerdicts(results)}\n`)
  if (results.length === 0) throw new UsageError('no attack was chosen')
  return results.some(({ outcome }) => outcome.kind === 'failed') ? 1 : 0
}

async function attackThere(url: string): Promise<readonly AttackResult[]> {
  const scheme = schemeOf(values.scheme ?? '')
  const key = readKey()
  return runSuite({
    url: url.replace(/\/$/, ''),
    rpcUrl: required('rpc-url', values['rpc-url']),
    scheme,
    request: readRequest(),
    payer: createPayer(scheme, key),
    ...common(),
  })
}

async function attackHere(): Promise<readonly AttackResult[]> {
  const chosen = values.scheme === undefined ? schemes : [schemeOf(values.scheme)]
  const results: AttackResult[] = []
  const shared = common()
  for (const scheme of chosen) {
    if (!values.json) process.stdout.write(`${scheme}\n`)
    const network = await startNetwork(scheme)
    try {
      const { url, rpcUrl, request, driver } = network
      const payer = createPayer(scheme, await driver.createPayerKey())
      results.push(...(await runSuite({ url, rpcUrl, request, driver, scheme, payer, ...shared })))
    } finally {
      await network.driver.stop()
    }
  }
  return results
}

// Loaded only when asked for: against somebody else's server nothing of ours is started.
async function startNetwork(scheme: Scheme): Promise<AttackedNetwork> {
  if (values.stock) {
    const { startStockNetwork } = await import('./drivers/stock-network.ts')
    return startStockNetwork(scheme)
  }
  const { startOwnNetwork } = await import('./drivers/own-network.ts')
  return startOwnNetwork(scheme)
}

type Common = {
  readonly repeats: number
  readonly seed: number
  readonly only: ReadonlySet<string>
  readonly onResult?: (result: AttackResult) => void
}

function common(): Common {
  const known = new Set<string>(catalogue.map(({ id }) => id))
  const only = values.only?.split(',') ?? [...known]
  const wrong = only.find((id) => !known.has(id))
  if (wrong !== undefined) throw new UsageError(`there is no attack ${wrong}`)
  return {
    repeats: numberOf('repeats'),
    seed: numberOf('seed'),
    only: new Set(only),
    ...(values.json ? {} : { onResult: progress }),
  }
}

function progress(result: AttackResult): void {
  process.stdout.write(`${describeResult(result)}\n`)
}

function toJson(result: AttackResult): Record<string, unknown> {
  const { outcome, ...rest } = result
  return { ...rest, ...outcome, verdict: verdictOf(result) }
}

function schemeOf(text: string): Scheme {
  const scheme = schemes.find((each) => each === text)
  if (scheme === undefined) throw new UsageError('--scheme must be exact, upto or batch-settlement')
  return scheme
}

function numberOf(name: 'repeats' | 'seed'): number {
  const text = values[name]
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`--${name} must be a whole number above 0`)
  return Number(text)
}

function required(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`--${name} is missing`)
  return value
}

function readRequest(): PaidRequest {
  const file = values['body-file']
  const body = file === undefined ? required('body', values.body) : readFileSync(file, 'utf8')
  return { path: values.path, body, headers: { 'content-type': 'application/json' } }
}

function readKey(): Hex {
  const name = values['payer-key-env']
  const file = values['payer-key-file']
  const text = name === undefined ? undefined : process.env[name]
  const key = text ?? (file === undefined ? undefined : readFileSync(file, 'utf8').trim())
  if (key === undefined || !/^0x[0-9a-fA-F]{64}$/.test(key)) {
    throw new UsageError('--payer-key-env or --payer-key-file must give 0x and 64 hex digits')
  }
  return `0x${key.slice(2)}`
}
