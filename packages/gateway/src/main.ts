/** The program: reads its arguments and its configuration, and runs a gateway. */
import { parseArgs } from 'node:util'
import pino from 'pino'
import { refuseDangerousEnvironment } from './config/environment-guard.ts'
import { ConfigError, loadConfig, type LoadedConfig } from './config/load-config.ts'
import { AttestationError } from './enclave/attestation-error.ts'

const usage = `Usage: main.ts --config FILE [--exit-with-parent]
       main.ts --check-config FILE
       main.ts --doctor FILE [--json]
       main.ts --facilitator FILE [--exit-with-parent]

Runs a Countersign gateway, or a facilitator for other x402 servers. Prints one line of JSON on stdout when it is ready; logs go to stderr.`
const exitUnhealthy = 1
const exitUsage = 64
const exitConfig = 78
const exitAttestation = 69

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      'check-config': { type: 'string' },
      doctor: { type: 'string' },
      facilitator: { type: 'string' },
      json: { type: 'boolean', default: false },
      'exit-with-parent': { type: 'boolean', default: false },
      // Given by the primary to its own workers; not for anybody else.
      worker: { type: 'boolean', default: false },
    },
  })
  refuseDangerousEnvironment(process.env, process.execArgv)
  // Node would open its debugger: it could read prompts and keys.
  process.on('SIGUSR1', ignoreSignal)
  if (values.worker && process.connected) {
    const { runWorker } = await import('./workers/worker.ts')
    runWorker(process.env)
    return
  }
  if (values['check-config'] !== undefined) {
    checkConfig(values['check-config'])
    return
  }
  if (values.doctor !== undefined) {
    await examineConfig(values.doctor, values.json)
    return
  }
  if (values.facilitator !== undefined) {
    await facilitate(values.facilitator, values['exit-with-parent'])
    return
  }
  if (values.config === undefined) {
    process.stderr.write(`${usage}\n`)
    process.exitCode = exitUsage
    return
  }
  await serve(values.config, values['exit-with-parent'])
}

function ignoreSignal(): void {
  // There is nothing to do.
}

async function serve(file: string, exitWithParent: boolean): Promise<void> {
  const loaded = loadConfig(file)
  const { config } = loaded
  const log = pino({ level: config.log.level, base: null }, pino.destination(2))
  if (config.workers > 1) {
    const { runPrimary } = await import('./workers/primary.ts')
    const load = (): LoadedConfig => loadConfig(file)
    const [, program = ''] = process.argv
    const { env: environment } = process
    await runPrimary({ first: loaded, load, environment, program, exitWithParent, log })
    return
  }
  // Most of the gateway is read only here: what is refused before costs no start.
  const { createGateway } = await import('./create-gateway.ts')
  const { createGatewayServer } = await import('./http/server.ts')
  const { createLiveGateway } = await import('./live-gateway.ts')
  const { run } = await import('./run.ts')
  const gateway = await createGateway(loaded, process.env, log)
  const live = createLiveGateway(gateway, () => loadConfig(file), process.env)
  await run(live, (isReady) => createGatewayServer(live.current, isReady), exitWithParent)
}

async function facilitate(file: string, exitWithParent: boolean): Promise<void> {
  const { loadFacilitatorConfig } = await import('./facilitator/facilitator-config.ts')
  const { runFacilitator } = await import('./facilitator/run-facilitator.ts')
  const config = loadFacilitatorConfig(file)
  const log = pino({ level: config.log.level, base: null }, pino.destination(2))
  await runFacilitator(config, process.env, log, exitWithParent)
}

async function examineConfig(file: string, isJson: boolean): Promise<void> {
  const { examine, formatFindings, isHealthy } = await import('./doctor/run-doctor.ts')
  const findings = await examine(file, { environment: process.env, nowMs: Date.now })
  process.stdout.write(formatFindings(findings, isJson))
  process.exitCode = isHealthy(findings) ? 0 : exitUnhealthy
}

function checkConfig(file: string): void {
  const { config, digest } = loadConfig(file)
  const summary = {
    valid: true,
    issuer: config.issuer,
    digest: Buffer.from(digest).toString('hex'),
    models: [
      ...config.upstreams.flatMap(({ models }) => models.map(({ id }) => id)),
      ...config.models.map(({ name }) => name),
    ],
  }
  process.stdout.write(`${JSON.stringify(summary)}\n`)
}

try {
  await main()
} catch (error) {
  const exitCode = exitCodeOf(error)
  if (exitCode === undefined || !(error instanceof Error)) throw error
  process.stderr.write(`${error.message}\n`)
  // What was opened before would keep the process alive: a chain that is asked again, payments that are settled.
  process.exit(exitCode)
}

function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof ConfigError) return exitConfig
  if (error instanceof AttestationError) return exitAttestation
  return isArgumentError(error) ? exitUsage : undefined
}

function isArgumentError(error: unknown): error is Error {
  return (
    error instanceof TypeError &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('ERR_PARSE_ARGS')
  )
}
