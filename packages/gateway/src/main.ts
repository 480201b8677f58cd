/** The composition root of the gateway: the one place that names adapters. */
import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import pino from 'pino'
import { createAnswerCache } from './call/answer-cache.ts'
import type { Gateway } from './call/gateway.ts'
import { createMemoryBudget } from './call/memory-budget.ts'
import { createPendingCalls } from './call/pending-calls.ts'
import { openAttester } from './enclave/open-attester.ts'
import { AttestationError } from './enclave/attestation-error.ts'
import { refuseDangerousEnvironment } from './config/environment-guard.ts'
import { ConfigError, loadConfig, type LoadedConfig } from './config/load-config.ts'
import { computePriceSheetDigest } from './config/price-sheet.ts'
import { createGatewayServer } from './http/server.ts'
import { computeBuildDigest } from './keys/build-digest.ts'
import { createEpochs } from './keys/epochs.ts'
import { createRandomPool } from './keys/random-pool.ts'
import { createMetrics } from './metrics.ts'
import { createPayment } from './payment/create-payment.ts'
import { openReceiptStore } from './receipts/receipt-store.ts'
import { run } from './run.ts'
import { createUpstreams } from './upstream/upstreams.ts'

const usage = `Usage: main.ts --config FILE [--exit-with-parent]
       main.ts --check-config FILE

Runs a Countersign gateway. Prints one line of JSON on stdout when it is ready; logs go to stderr.`
const answerCacheBytes = 67_108_864
const answerCacheMs = 600_000
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
  const { config } = loaded
  const log = pino({ level: config.log.level, base: null }, pino.destination(2))
  const nowMs = Date.now
  const random = createRandomPool()
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const upstreams = createUpstreams(config, process.env)
  const receipts = openReceiptStore(config.dataDir, (error) => {
    log.error({ err: error }, 'receipts could not be written')
  })
  const payment = createPayment(config, { environment: process.env, clock: nowMs, log })
  const pending = createPendingCalls()
  const requestMemory = createMemoryBudget(config.limits.maxHeldRequestBytes)
  const buildDigest = computeBuildDigest()
  const terms = {
    issuer: config.issuer,
    configDigest: loaded.digest,
    buildDigest,
    payees: payment.payees,
    ...(payment.settlementAddress === undefined
      ? {}
      : { settlementAddress: payment.settlementAddress }),
  }
  const attester = await openAttester(config.attestation, {
    build: buildDigest,
    configuration: loaded.digest,
  })
  const epochs = await createEpochs(terms, attester, {
    nowMs: nowMs(),
    random,
    previousKeysetDigest: receipts.lastKeysetDigest(),
    onEpoch: (epoch) => {
      receipts.putKeyset(epoch)
    },
    onError: (error) => {
      log.error({ err: error }, 'the next keyset could not be attested')
    },
  })
  const gateway: Gateway = {
    config,
    upstreams,
    payment: payment.scheme,
    epochs,
    receipts,
    answers: createAnswerCache(answerCacheBytes, answerCacheMs),
    pending,
    requestMemory,
    exchanges: new Set(),
    metrics: createMetrics({
      pendingCalls: () => pending.size,
      requestBytes: () => requestMemory.takenBytes,
    }),
    log,
    random,
    nowMs,
    priceSheetDigest: computePriceSheetDigest(upstreams.models),
  }
  await run(gateway, (isReady) => createGatewayServer(gateway, isReady), exitWithParent)
}

function checkConfig(file: string): void {
  const { config, digest } = loadConfig(file)
  const summary = {
    valid: true,
    issuer: config.issuer,
    digest: Buffer.from(digest).toString('hex'),
    models: config.upstreams.flatMap(({ models }) => models.map(({ id }) => id)),
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
