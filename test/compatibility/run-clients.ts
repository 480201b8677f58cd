/**
 * Runs every client through every case against a gateway, in a process of its own, and prints what happened as one
 * line of JSON: `run-clients.ts ORIGIN API_KEY`.
 */
import { aiSdkClients } from './ai-sdk.ts'
import { anthropicClients } from './anthropic.ts'
import {
  caseNames,
  type CaseName,
  type Client,
  type ClientContext,
  type Outcome,
} from './client.ts'
import { googleClients } from './google.ts'
import { langchainClients } from './langchain.ts'
import { openaiClients } from './openai.ts'
import { openrouterClients } from './openrouter.ts'
import { watchExchanges, type SeenExchange } from './watch-exchanges.ts'

/** What a client made of a case. `fault` is what it threw. */
export interface CaseReport {
  readonly client: string
  readonly packages: readonly string[]
  readonly baseUrl: string
  readonly case: CaseName
  readonly result:
    | { readonly kind: 'ended'; readonly outcome: Outcome }
    | { readonly kind: 'threw'; readonly message: string }
  readonly exchanges: readonly SeenExchange[]
}

const clients: readonly Client[] = [
  ...openaiClients,
  ...anthropicClients,
  ...googleClients,
  ...aiSdkClients,
  ...openrouterClients,
  ...langchainClients,
]

async function runCase(
  client: Client,
  name: CaseName,
  context: ClientContext,
): Promise<CaseReport['result']> {
  try {
    return { kind: 'ended', outcome: await client.cases[name](context) }
  } catch (error) {
    return { kind: 'threw', message: describe(error) }
  }
}

/** Clients wrap what they were told: all of it counts as said. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const body = 'responseBody' in error ? String(error.responseBody) : ''
  const cause = error.cause === undefined ? '' : describe(error.cause)
  return [error.name, error.message, body, cause].filter((text) => text !== '').join(': ')
}

const [origin = '', apiKey = ''] = process.argv.slice(2)
const watch = watchExchanges(origin)
const reports: CaseReport[] = []
for (const client of clients) {
  for (const name of caseNames) {
    const result = await runCase(client, name, { origin, apiKey })
    const { packages, baseUrl } = client
    reports.push({
      client: client.name,
      packages,
      baseUrl,
      case: name,
      result,
      exchanges: watch.take(),
    })
  }
}
process.stdout.write(JSON.stringify(reports))
