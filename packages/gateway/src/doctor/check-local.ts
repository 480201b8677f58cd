/** Tries what the gateway needs of its own machine: its folder, its prices, its evidence, its collector. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { request } from 'undici'
import { createCatalogue } from '../catalogue/catalogue.ts'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import { AttestationError } from '../enclave/attestation-error.ts'
import { measuresConfiguration } from '../config/refuse-fixed-change.ts'
import { openAttester } from '../enclave/open-attester.ts'
import { encodeSpans } from '../telemetry/span.ts'
import { codeOf, type Findings } from './finding.ts'

/** Whether files can be made where receipts and payments are kept. Nothing is left behind. */
export function checkDataFolder({ dataDir }: Config, findings: Findings): void {
  // The gateway makes what is missing.
  let folder = dataDir
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  try {
    rmSync(mkdtempSync(join(folder, '.countersign-doctor-')), { recursive: true })
    findings.ok('data folder', `${dataDir} can be written`)
  } catch (error) {
    const hint = 'dataDir must be a folder that the user of the gateway can write.'
    findings.failed('data folder', `${dataDir}: ${codeOf(error)}`, hint)
  }
}

/** Whether every model has a price. */
export function checkPrices({ models, prices }: Config, nowMs: number, findings: Findings): void {
  try {
    const catalogue = createCatalogue({ models, prices, atMs: nowMs })
    findings.ok('prices', `${catalogue.models.length} models of the catalogue have a price sheet`)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    findings.failed('prices', error.message, 'Give the model a price of its own.')
  }
}

/** Whether the machine gives evidence. A TPM is left alone: to open it is to measure the configuration. */
export async function checkAttestation(
  { attestation }: Config,
  configuration: Uint8Array,
  nowMs: number,
  findings: Findings,
): Promise<void> {
  if (attestation.kind === 'simulated') {
    const hint = 'For tests: no hardware stands behind the keys.'
    findings.warning('attestation', 'simulated', hint)
    return
  }
  if (measuresConfiguration(attestation)) {
    findings.skipped('attestation', 'a TPM is opened by the start of the gateway alone')
    return
  }
  try {
    const build = new Uint8Array(32)
    const attester = await openAttester(attestation, { build, configuration })
    const evidence = await attester.attest(randomBytes(64), nowMs)
    findings.ok('attestation', `${attester.kind} gave ${evidence.length} bytes of evidence`)
  } catch (error) {
    const code = error instanceof AttestationError ? error.message : codeOf(error)
    findings.failed(
      'attestation',
      code,
      'Check attestation.kind, its socket or folder, and rights.',
    )
  }
}

/** Whether the collector takes an export without spans. */
export async function checkTelemetry(
  { telemetry }: Config,
  environment: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
  findings: Findings,
): Promise<void> {
  if (telemetry === undefined) return
  const { otlpUrl, authorizationEnv } = telemetry
  const authorization = authorizationEnv === undefined ? undefined : environment[authorizationEnv]
  const headers = {
    'content-type': 'application/json',
    ...(authorization === undefined ? {} : { authorization }),
  }
  try {
    const { statusCode, body } = await request(otlpUrl, {
      method: 'POST',
      headers,
      body: encodeSpans([]),
      signal: AbortSignal.timeout(timeoutMs),
    })
    await body.dump()
    if (statusCode >= 200 && statusCode < 300) findings.ok('telemetry', 'the collector answers')
    else {
      const hint = 'otlpUrl is the whole URL (…/v1/traces); the collector takes OTLP/HTTP JSON.'
      findings.failed('telemetry', `the collector answers ${statusCode}`, hint)
    }
  } catch (error) {
    findings.failed('telemetry', `otlpUrl: ${codeOf(error)}`, 'Spans would be dropped.')
  }
}
