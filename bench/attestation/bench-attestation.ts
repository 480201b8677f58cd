/** `npm run bench -- attestation`: how long it takes to appraise evidence of each platform. */
import { loadavg } from 'node:os'
import { gzipSync } from 'node:zlib'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import {
  gpuSample,
  nitroSamples,
  sgxSample,
  snpSamples,
  tdxSample,
} from '../../test/attestation/samples.ts'
import type { Sample } from '../../test/attestation/samples.ts'
import { bundleForBrowsers } from '../../test/runtimes/browser-bundle.ts'
import { findChromium, runPage } from '../../test/runtimes/chromium.ts'
import { timeAppraisals, type TimedAppraisal } from '../../test/runtimes/judge-evidence-vectors.ts'

/** What is said of one sample. Times are milliseconds. */
type Row = {
  readonly platform: string
  readonly sample: string
  readonly sizeBytes: number
  readonly p50Ms: number
  readonly p95Ms: number
  /** Of all threads: WebCrypto verifies beside the main one. */
  readonly cpuMs: number
}

/** Appraises each sample of real hardware again and again, and prints what one appraisal costs. */
export async function benchAttestation({
  json,
  quick,
}: {
  readonly json: boolean
  readonly quick: boolean
}): Promise<void> {
  const rounds = quick ? 30 : 300
  const samples = [...nitroSamples(), ...snpSamples(), sgxSample(), tdxSample(), gpuSample()]
  const loadBefore = loadavg()[0] ?? 0
  const rows: Row[] = []
  for (const sample of samples) rows.push(await measure(sample, rounds))
  const chromium = await measureInChromium(samples, rounds)
  const sizes = await measureSize()
  const report = {
    benchmark: 'attestation',
    node: process.version,
    loadBefore,
    rounds,
    ...sizes,
    rows,
    chromium,
  }
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : formatTable(report))
}

async function measure({ name, platform, evidence, asOfMs }: Sample, rounds: number): Promise<Row> {
  const options = { asOfMs, roots: new Set(vendorRoots.get(platform)) }
  const appraise = appraisers[platform]
  // The first rounds compile: they say nothing about those after them.
  for (let round = 0; round < 10; round++) await appraise(evidence, options)
  const times: number[] = []
  const cpuBefore = process.cpuUsage()
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await appraise(evidence, options)
    times.push(performance.now() - start)
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0
  const pieces = Array.from(evidence.collateral.values(), ({ length }) => length)
  return {
    platform,
    sample: name,
    sizeBytes: pieces.reduce((sum, length) => sum + length, evidence.raw.length),
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    cpuMs: (user + system) / 1000 / rounds,
  }
}

/** The same samples in headless Chromium; empty where it is not installed. */
async function measureInChromium(
  samples: readonly Sample[],
  rounds: number,
): Promise<readonly TimedAppraisal[]> {
  const program = findChromium()
  if (program === undefined) return []
  const entry = `export { timeAppraisals } from './judge-evidence-vectors.ts'`
  const stored = samples.map(({ name, platform, evidence: { raw, collateral }, asOfMs }) => ({
    name,
    clause: '',
    platform,
    raw: toBase64url(raw),
    collateral: Object.fromEntries(
      Array.from(collateral, ([part, bytes]) => [part, toBase64url(bytes)] as const),
    ),
    asOf: asOfMs,
  }))
  const timed: readonly TimedAppraisal[] = JSON.parse(
    await runPage(program, {
      bundle: await bundleForBrowsers(entry, { minify: true }),
      call: timeAppraisals.name,
      inputs: [JSON.stringify(stored), String(rounds)],
    }),
  )
  return timed
}

async function measureSize(): Promise<{
  readonly minifiedBytes: number
  readonly gzipBytes: number
}> {
  const entry = `export { verifyEvidence } from '@countersign/protocol/attestation/verify-evidence'`
  const text = await bundleForBrowsers(entry, { minify: true })
  return { minifiedBytes: text.length, gzipBytes: gzipSync(text, { level: 9 }).length }
}

function formatTable({
  rows,
  chromium,
  node,
  loadBefore,
  gzipBytes,
}: {
  readonly rows: readonly Row[]
  readonly chromium: readonly TimedAppraisal[]
  readonly node: string
  readonly loadBefore: number
  readonly gzipBytes: number
}): string {
  const titles = ['platform', 'sample', 'bytes', 'p50 ms', 'p95 ms', 'CPU ms', 'Chromium']
  const cells = rows.map(({ platform, sample, sizeBytes, p50Ms, p95Ms, cpuMs }) => [
    platform,
    sample,
    String(sizeBytes),
    ...[p50Ms, p95Ms, cpuMs].map((value) => value.toFixed(2)),
    chromium.find(({ name }) => name === sample)?.p50Ms.toFixed(2) ?? '–',
  ])
  const lines = [titles, ...cells].map(([platform = '', sample = '', ...numbers]) =>
    [platform.padEnd(12), sample.padEnd(16), ...numbers.map((text) => text.padStart(8))].join(' '),
  )
  const about = `all verifiers: ${gzipBytes} bytes gzipped; Node ${node}, load before ${loadBefore.toFixed(1)}`
  return `${lines.join('\n')}\n${about}\n`
}
