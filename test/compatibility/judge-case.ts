/** Says of one case whether the client did what it should, receipts included. */
import { defaultPolicy, verify } from '@countersign/protocol'
import { callRaw } from '../provider/raw-client.ts'
import { question, toolName, toolResult, type CaseName } from './client.ts'
import type { CaseReport } from './run-clients.ts'
import type { SeenExchange } from './watch-exchanges.ts'

/** `fault` is null when all is well. */
export interface JudgedCase {
  readonly client: string
  readonly case: CaseName
  readonly fault: string | null
  /** Receipts that were fetched and are valid. */
  readonly validReceipts: number
}

const answerText = (prompt: string): string =>
  `This is the loopback provider: no model ran. You asked: ${prompt}`
const expectedTexts: Readonly<Record<CaseName, string>> = {
  whole: answerText(question),
  stream: answerText(question),
  tools: answerText(toolResult),
  'tools, streamed': answerText(toolResult),
  refusal: '',
}

/** What our own refusal of a model says; a client must show it. */
const refusalText = 'No such model here.'

/** Judges one case: what the client says, and the receipt of every call that it made. */
export async function judgeCase(origin: string, report: CaseReport): Promise<JudgedCase> {
  const faults = [judgeResult(report)]
  const isTools = report.case === 'tools' || report.case === 'tools, streamed'
  const calls = report.exchanges.length
  if (calls !== (isTools ? 2 : 1)) faults.push(`${String(calls)} calls were made`)
  let validReceipts = 0
  for (const exchange of report.exchanges) {
    const fault = await judgeReceipt(origin, exchange)
    if (fault === null) validReceipts++
    else faults.push(fault)
  }
  const { client, case: name } = report
  const found = faults.filter((fault) => fault !== null)
  return { client, case: name, fault: found.length > 0 ? found.join('; ') : null, validReceipts }
}

function judgeResult({ case: name, result, exchanges }: CaseReport): string | null {
  const expectedStatus = name === 'refusal' ? 404 : 200
  const other = exchanges.find(({ status }) => status !== expectedStatus)
  if (other !== undefined) return `${other.path} answered ${String(other.status)}`
  if (name === 'refusal') {
    if (result.kind === 'ended') return 'a refusal did not throw'
    return result.message.includes(refusalText) ? null : 'the error does not show what we said'
  }
  if (result.kind === 'threw') return `it threw ${result.message}`
  const { text, calls } = result.outcome
  if (text !== expectedTexts[name]) return `it read ${JSON.stringify(text)}`
  const expected = name.startsWith('tools') ? [{ name: toolName, input: { city: question } }] : []
  return JSON.stringify(calls) === JSON.stringify(expected)
    ? null
    : `it read the calls ${JSON.stringify(calls)}`
}

/** Fetches the bundle of a call and verifies it offline, against the very bytes sent and received. */
async function judgeReceipt(origin: string, exchange: SeenExchange): Promise<string | null> {
  const { 'x-receipt-id': id = '', 'x-receipt-token': token = '' } = exchange.headers
  if (!/^[0-9a-f]{32}$/.test(id)) return 'an answer names no receipt'
  const fetched = await callRaw({
    url: `${origin}/v1/receipts/${id}?wait=60`,
    headers: { authorization: `Bearer ${token}` },
  })
  if (fetched.status !== 200) return `the receipt answered ${String(fetched.status)}`
  const request = Buffer.from(exchange.request, 'base64')
  const response = Buffer.from(exchange.response, 'base64')
  const verdict = await verify(fetched.body, defaultPolicy, Date.now(), { request, response })
  if (verdict.verdict === 'valid') return null
  const failed = verdict.checks.filter(({ status }) => status !== 'passed')
  return `the receipt is ${verdict.verdict}: ${failed.map(({ id: check }) => check).join(', ')}`
}
