/** The program: reads its arguments and its configuration, and runs a gateway. */
import { parseArgs } from 'node:util'
import pino from 'pino'
import { refuseDangerousEnvironment } from './config/environment-guard.ts'
import { ConfigError, loadConfig, type LoadedConfig } from './config/load-config.ts'
import { AttestationError } from './enclave/attestation-error.ts'

const usage = `Usage: main.ts --config FILE [--exit-with-parent]
       main.ts --check-config FILE

Runs a Countersign gateway. Prints one line of JSON on stdout when it is ready; logs go to stderr.`
const exitUsage = 64
const exitConfig = 78
const exitAttestation = 69

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      'check-config': { type: 'string' },
      'exit-with-parent': { type: 'boolean', default: false },
    },
  })
  refuseDangerousEnvironment(process.env, process.execArgv)
  if (values['check-config'] !== undefined) {
    checkConfig(values['check-config'])
    return
  }
  if (values.config === undefined) {
    process.stderr.write(`${usage}\n`)
    process.exitCode = exitUsage
    return
  }
  await serve(loadConfig(values.config), values['exit-with-parent'])
}

async function serve(loaded: LoadedConfig, exitWithParent: boolean): Promise<void> {
  // Most of the gateway is read only here: what is refused before costs no start.
  const { createGateway } = await import('./create-gateway.ts')
  const { createGatewayServer } = await import('./http/server.ts')
  const { run } = await import('./run.ts')
  const { config } = loaded
  const log = pino({ level: config.log.level, base: null }, pino.destination(2))
  const gateway = await createGateway(loaded, process.env, log)
  await run(gateway, (isReady) => createGatewayServer(gateway, isReady), exitWithParent)
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
  process.exitCode = exitCode
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
