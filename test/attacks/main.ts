/**
 * `npm run attack`: the attack suite against an x402 server. Exit code 0 when no attack succeeded, 1 when one did, 2 for
 * wrong options, 3 when the target could not be attacked or an attack broke off.
 *
 * Without --url it starts a network of its own and attacks that.
 */
import type { Scheme } from './attack.ts'
import {
  parseOptions,
  usage,
  UsageError,
  type AttackOptions,
  type Target,
} from './attack-options.ts'
import { CannotAttack, checkTarget } from './check-target.ts'
import type { AttackedNetwork } from './drivers/own-network.ts'
import { createPayer } from './payers/create-payer.ts'
import { countVerdicts, describeResult, verdictOf } from './report.ts'
import { runSuite, type AttackResult, type SuiteOptions } from './run-suite.ts'

const exitUsage = 2
const exitNothingProven = 3

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2), process.env))
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n\n${usage}`)
    process.exitCode = exitUsage
  } else if (error instanceof CannotAttack) {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = exitNothingProven
  } else throw error
}

async function main(options: AttackOptions | 'help'): Promise<number> {
  if (options === 'help') {
    process.stdout.write(usage)
    return 0
  }
  const { aim, json } = options
  if (aim.kind === 'compare') {
    const { writeComparison } = await import('./compare.ts')
    await writeComparison({ ...options, onResult: progress })
    return 0
  }
  const results =
    aim.kind === 'there'
      ? await attackThere(aim.target, options)
      : await attackHere(aim.kind, options)
  process.stdout.write(
    json
      ? `${JSON.stringify({ results: results.map(toJson) }, null, 1)}\n`
      : `${countVerdicts(results)}\n`,
  )
  const has = (kind: string): boolean => results.some(({ outcome }) => outcome.kind === kind)
  if (has('failed')) return 1
  return has('broken-off') ? exitNothingProven : 0
}

async function attackThere(
  { payerKey, ...target }: Target,
  options: AttackOptions,
): Promise<readonly AttackResult[]> {
  const results: AttackResult[] = []
  for (const scheme of options.schemes) {
    const suite = { ...target, scheme, payer: createPayer(scheme, payerKey), ...common(options) }
    await checkTarget(suite)
    results.push(...(await runSuite(suite)))
  }
  return results
}

async function attackHere(
  kind: 'here' | 'stock',
  options: AttackOptions,
): Promise<readonly AttackResult[]> {
  const results: AttackResult[] = []
  for (const scheme of options.schemes) {
    if (!options.json) process.stdout.write(`${scheme}\n`)
    const network = await startNetwork(kind, scheme)
    try {
      const { url, rpcUrl, request, driver } = network
      const payer = createPayer(scheme, await driver.createPayerKey())
      const suite = { url, rpcUrl, request, driver, scheme, payer, ...common(options) }
      results.push(...(await runSuite(suite)))
    } finally {
      await network.driver.stop()
    }
  }
  return results
}

// Loaded only when asked for: against somebody else's server nothing of ours is started.
async function startNetwork(kind: 'here' | 'stock', scheme: Scheme): Promise<AttackedNetwork> {
  try {
    if (kind === 'stock') {
      const { startStockNetwork } = await import('./drivers/stock-network.ts')
      return await startStockNetwork(scheme)
    }
    const { startOwnNetwork } = await import('./drivers/own-network.ts')
    return await startOwnNetwork(scheme)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CannotAttack(`no network could be started here: ${text}`, { cause })
  }
}

function common({
  repeats,
  seed,
  only,
  json,
}: AttackOptions): Pick<SuiteOptions, 'repeats' | 'seed' | 'only' | 'onResult'> {
  return { repeats, seed, only, ...(json ? {} : { onResult: progress }) }
}

function progress(result: AttackResult): void {
  process.stdout.write(`${describeResult(result)}\n`)
}

function toJson(result: AttackResult): Record<string, unknown> {
  const { outcome, ...rest } = result
  return { ...rest, ...outcome, verdict: verdictOf(result) }
}
