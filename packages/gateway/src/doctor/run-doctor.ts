/** `--doctor`: tries everything that a configuration names and says what is wrong, one line for each check. */
import { ConfigError, loadConfig, type LoadedConfig } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import { checkChain } from './check-chain.ts'
import { checkCollect } from './check-collect.ts'
import { checkAttestation, checkDataFolder, checkPrices, checkTelemetry } from './check-local.ts'
import { checkNodes } from './check-nodes.ts'
import { checkOperator } from './check-operator.ts'
import { checkUpstream } from './check-upstream.ts'
import { createFindings, type Finding, type FindingStatus } from './finding.ts'

/** What the doctor needs of its process. */
export type DoctorSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly nowMs: () => number
}

const maxTimeoutMs = 10_000
const marks: Readonly<Record<FindingStatus, string>> = {
  ok: 'ok  ',
  warning: 'WARN',
  failed: 'FAIL',
  skipped: 'skip',
}

/** All findings about a configuration file. Starts nothing, keeps nothing, and makes no call that costs money. */
export async function examine(
  file: string,
  { environment, nowMs }: DoctorSurroundings,
): Promise<readonly Finding[]> {
  const findings = createFindings('')
  const loaded = load(file)
  if (loaded instanceof ConfigError) {
    findings.failed('configuration', loaded.message, 'See docs/configuration.md.')
    return findings.all
  }
  const { config, digest } = loaded
  findings.ok('configuration', `digest ${Buffer.from(digest).toString('hex')}`)
  checkDataFolder(config, findings)
  checkPrices(config, nowMs(), findings)
  const timeoutMs = Math.min(maxTimeoutMs, config.limits.connectTimeoutMs)
  await checkAttestation(config, digest, nowMs(), findings)
  await checkTelemetry(config, environment, timeoutMs, findings)
  const { payment } = config
  const visits = config.upstreams.map(async (upstream) => {
    const models = modelsAt(config, upstream.name)
    return checkUpstream({ upstream, models, environment, timeoutMs, nowMs })
  })
  const chain = payment === 'none' ? [] : checkPaid(payment, environment, timeoutMs)
  const operator = checkOperator(config, { environment, timeoutMs, nowMs })
  const collect = checkCollect(config, timeoutMs)
  const visited = await Promise.all([...visits, ...chain, operator, collect])
  return [...findings.all, ...visited.flat()]
}

function checkPaid(
  payment: Exclude<Config['payment'], 'none'>,
  environment: DoctorSurroundings['environment'],
  timeoutMs: number,
): readonly Promise<readonly Finding[]>[] {
  const { exact } = payment
  const nodes = checkNodes(payment, timeoutMs)
  return exact === undefined ? [nodes] : [nodes, checkChain(exact, payment, environment, timeoutMs)]
}

/** The report: text for people, or JSON. */
export function formatFindings(findings: readonly Finding[], isJson: boolean): string {
  if (isJson) return `${JSON.stringify({ ok: isHealthy(findings), checks: findings }, null, 2)}\n`
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.flatMap(({ check, status, message, hint }) => [
    `${marks[status]} ${check.padEnd(width)}  ${message}`,
    ...(hint === '' ? [] : [`     ${' '.repeat(width)}  → ${hint}`]),
  ])
  return `${lines.join('\n')}\n`
}

/** Nothing failed. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ status }) => status !== 'failed')
}

function load(file: string): LoadedConfig | ConfigError {
  try {
    return loadConfig(file)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

/** What an upstream is asked for, each name once. */
function modelsAt({ upstreams, models }: Config, name: string): readonly string[] {
  const fixed = upstreams
    .filter((upstream) => upstream.name === name)
    .flatMap((upstream) => upstream.models.map(({ id }) => id))
    .filter((id) => id !== '*')
  const priced = models.flatMap((model) => {
    const { upstreamModel = model.name } = model
    const routes = [{ upstream: model.upstream, upstreamModel }, ...model.routes]
    return routes
      .filter(({ upstream }) => upstream === name)
      .map((route) => route.upstreamModel ?? upstreamModel)
  })
  return [...new Set([...fixed, ...priced])]
}
