/** Tries one provider step by step: key, name, port, handshake, credentials, models, clock. Nothing that costs money. */
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Agent, request } from 'undici'
import { matchModelName } from '@countersign/protocol/receipt/served-model'
import type { UpstreamConfig } from '../config/schema.ts'
import { selectRequestHeaders } from '../http/headers.ts'
import { dialectOfKind } from '../http/wire-routes.ts'
import { isObject, itemsAt, parseJson, textAt } from '../metering/read-json.ts'
import { toCredential } from '../upstream/upstreams.ts'
import { codeOf, createFindings, type Finding, type Findings } from './finding.ts'

/** What is tried. */
export type UpstreamVisit = {
  readonly upstream: UpstreamConfig
  /** Names that this upstream is asked for. */
  readonly models: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly timeoutMs: number
  readonly nowMs: () => number
}

const dayMs = 86_400_000
const soonMs = 14 * dayMs
const maxListBytes = 16_777_216
const warnSkewMs = 30_000
// More than a verifier's default policy bears (spec/bundle.md BU2.3).
const maxSkewMs = 300_000

/** The findings about one upstream. Each step needs the one before it. */
export async function checkUpstream(visit: UpstreamVisit): Promise<readonly Finding[]> {
  const { upstream } = visit
  const findings = createFindings(`upstream ${upstream.name}`)
  const url = new URL(upstream.baseUrl)
  const key = readKey(visit, findings)
  // The configuration was refused if this file could not be read.
  const ca = upstream.caFile === undefined ? undefined : readFileSync(upstream.caFile, 'utf8')
  if (!(await resolveName(url, findings))) return findings.all
  if (!(await openPort(url, visit, findings))) return findings.all
  if (url.protocol === 'https:' && !(await shakeHands(url, ca, visit, findings))) {
    return findings.all
  }
  if (url.protocol === 'http:') {
    findings.warning('tls', 'plain HTTP', 'Receipts have no TLS evidence for this upstream.')
  }
  if (key !== null) await listModels(url, key, ca, visit, findings)
  return findings.all
}

/** `undefined`: none is needed; null: there is none. */
function readKey(
  { upstream: { apiKeyEnv }, environment }: UpstreamVisit,
  findings: Findings,
): string | undefined | null {
  if (apiKeyEnv === undefined) return undefined
  const key = environment[apiKeyEnv]
  if (key !== undefined && /^[\u0021-\u007e]+$/.test(key)) return key
  const hint = `Set ${apiKeyEnv} in the environment of the gateway, without spaces or line ends.`
  findings.failed('key', `environment variable ${apiKeyEnv} holds no key`, hint)
  return null
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}

async function resolveName(url: URL, findings: Findings): Promise<boolean> {
  const host = hostOf(url)
  if (isIP(host) !== 0) return true
  try {
    const { address } = await lookup(host)
    findings.ok('dns', `${host} is ${address}`)
    return true
  } catch (error) {
    const hint = 'Check the host in baseUrl, and the name servers of this machine.'
    findings.failed('dns', `${host}: ${codeOf(error)}`, hint)
    return false
  }
}

async function openPort(
  url: URL,
  { timeoutMs }: UpstreamVisit,
  findings: Findings,
): Promise<boolean> {
  const target = `${hostOf(url)}:${portOf(url)}`
  const socket = connectTcp({ host: hostOf(url), port: portOf(url) })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) })
    findings.ok('tcp', `${target} answers`)
    return true
  } catch (error) {
    findings.failed('tcp', `${target}: ${codeOf(error)}`, 'Check the port, firewalls and proxies.')
    return false
  } finally {
    socket.destroy()
  }
}

async function shakeHands(
  url: URL,
  ca: string | undefined,
  { timeoutMs, nowMs }: UpstreamVisit,
  findings: Findings,
): Promise<boolean> {
  const host = hostOf(url)
  const options: ConnectionOptions = {
    host,
    port: portOf(url),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
  }
  const socket = connectTls(options)
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(timeoutMs) })
    const certificate = socket.getPeerX509Certificate()
    const untilMs = certificate === undefined ? 0 : Date.parse(certificate.validTo) - nowMs()
    const days = Math.floor(untilMs / dayMs)
    if (untilMs < soonMs) {
      const message = `the certificate ends in ${days} days`
      findings.warning('tls', message, 'Calls fail when the provider does not renew it.')
    } else findings.ok('tls', `${socket.getProtocol() ?? ''}, certificate for ${days} days`)
    return true
  } catch (error) {
    const hint = 'Check caFile and the host name; a proxy that opens TLS needs its own authority.'
    findings.failed('tls', codeOf(error), hint)
    return false
  } finally {
    socket.destroy()
  }
}

async function listModels(
  url: URL,
  key: string | undefined,
  ca: string | undefined,
  { upstream: { kind }, models, timeoutMs, nowMs }: UpstreamVisit,
  findings: Findings,
): Promise<void> {
  const dispatcher = new Agent({
    connect: { timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) },
    maxResponseSize: maxListBytes,
  })
  const dialect = dialectOfKind(kind)
  const query = { openai: '', anthropic: '?limit=1000', google: '?pageSize=1000' }[dialect]
  const headers = selectRequestHeaders(
    { 'anthropic-version': '2023-06-01' },
    dialect,
    key === undefined ? undefined : toCredential(kind, key),
  )
  const target = `${url.origin}${url.pathname.replace(/\/$/, '')}/models${query}`
  try {
    const answer = await request(target, {
      dispatcher,
      headers,
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await answer.body.text()
    judgeClock(answer.headers['date'], nowMs(), findings)
    if (judgeStatus(answer.statusCode, findings)) judgeModels(text, models, findings)
  } catch (error) {
    findings.failed(
      'models',
      `GET /models: ${codeOf(error)}`,
      'Check baseUrl: host, path, version.',
    )
  } finally {
    await dispatcher.destroy()
  }
}

function judgeClock(header: unknown, nowMs: number, findings: Findings): void {
  const theirsMs = typeof header === 'string' ? Date.parse(header) : Number.NaN
  if (Number.isNaN(theirsMs)) {
    findings.skipped('clock', 'the answer has no Date')
    return
  }
  const seconds = Math.round((nowMs - theirsMs) / 1000)
  const hint = 'Set the clock of this machine (NTP): receipts carry its time.'
  const message = `this clock is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead'}`
  if (Math.abs(seconds) * 1000 > maxSkewMs) findings.failed('clock', message, hint)
  else if (Math.abs(seconds) * 1000 > warnSkewMs) findings.warning('clock', message, hint)
  else findings.ok('clock', message)
}

/** Whether the answer is a list. */
function judgeStatus(status: number, findings: Findings): boolean {
  if (status === 200) {
    findings.ok('key', 'accepted')
    return true
  }
  if (status === 401 || status === 403) {
    const hint = 'The key is wrong, revoked, or has no right to list models.'
    findings.failed('key', `refused with ${status}`, hint)
  } else if (status === 429) {
    findings.warning('key', 'refused with 429', 'The account is at its limit, or has no credit.')
  } else if (status === 404) {
    const hint =
      'baseUrl ends with the version (https://api.openai.com/v1); some servers list none.'
    findings.warning('models', 'GET /models gives 404', hint)
  } else {
    findings.failed('models', `GET /models gives ${status}`, 'Check baseUrl, or try again later.')
  }
  return false
}

function judgeModels(text: string, models: readonly string[], findings: Findings): void {
  const json = parseJson(text)
  const items = isObject(json) ? [...itemsAt(json, 'data'), ...itemsAt(json, 'models')] : []
  const listed = items.flatMap((item) => {
    if (!isObject(item)) return []
    const name = textAt(item, 'id', 256) ?? textAt(item, 'name', 256)
    return name === null ? [] : [name]
  })
  if (listed.length === 0) {
    findings.warning('models', 'the list is empty or no list', 'Model names could not be checked.')
    return
  }
  const isListed = (model: string): boolean =>
    listed.some((name) => matchModelName(model, name) !== 'other')
  const missing = models.filter((model) => !isListed(model))
  for (const model of missing) {
    const hint = 'Check upstreamModel (or id): the account may not have this model.'
    findings.failed('models', `${model} is not among the ${listed.length} of the list`, hint)
  }
  if (missing.length === 0) findings.ok('models', `${models.length} of ${listed.length} are used`)
}
