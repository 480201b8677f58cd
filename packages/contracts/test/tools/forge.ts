/** Runs the Solidity tests with the forge that npm installed, and reads what it reports. */

import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** `default` is what every test run does; `long` makes a tenth of a million calls, by a seed of its own each time. */
export type ForgeProfile = 'default' | 'long'

/** What forge did. */
export type ForgeReport = {
  /** Name of each test with the reason of its failure; an empty reason is a pass. */
  readonly outcomes: ReadonlyMap<string, string>
  /** Calls that the invariant campaigns made. */
  readonly invariantCalls: number
  /** Runs of the fuzz tests. */
  readonly fuzzRuns: number
  /** Measured gas by operation. */
  readonly gas: ReadonlyMap<string, number>
}

/** The committed gas of each operation. */
export const gasFile: URL = new URL('../solidity/gas/payments.json', import.meta.url)

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const configuration = fileURLToPath(new URL('../../foundry.toml', import.meta.url))

/** The native binary in the platform package, or undefined where npm installed none. */
export function findForge(): string | undefined {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  try {
    const manifest = `@foundry-rs/forge-${process.platform}-${architecture}/package.json`
    const folder = dirname(createRequire(import.meta.url).resolve(manifest))
    const path = join(folder, 'bin', process.platform === 'win32' ? 'forge.exe' : 'forge')
    accessSync(path, constants.X_OK)
    return path
  } catch {
    return undefined
  }
}

/**
 * Compiles what changed and runs every Solidity test. A failed test is in the report, not thrown.
 *
 * @throws Error with forge's own words when it cannot compile or reports nothing.
 */
export async function runForge(
  forge: string,
  profile: ForgeProfile,
  seed?: number,
): Promise<ForgeReport> {
  const seeded = seed === undefined ? [] : ['--fuzz-seed', String(seed)]
  const { output, complaints } = await run(forge, profile, ['test', '--json', ...seeded])
  try {
    return readReport(JSON.parse(output.slice(output.indexOf('{'))))
  } catch (cause) {
    throw new Error(`${complaints}\n${output}`, { cause })
  }
}

/** What forge would format differently; empty when nothing. */
export async function findUnformatted(forge: string): Promise<string> {
  const { output, complaints } = await run(forge, 'default', ['fmt', '--check'])
  return output + complaints
}

async function run(
  forge: string,
  profile: ForgeProfile,
  args: readonly string[],
): Promise<{ readonly output: string; readonly complaints: string }> {
  const child = spawn(forge, [...args, '--root', repository], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // forge starts our stand-in for solc, which is a Node script.
      PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      NODE_OPTIONS: '',
      FOUNDRY_CONFIG: configuration,
      FOUNDRY_PROFILE: profile,
    },
  })
  const output: Buffer[] = []
  const complaints: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
  await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { output: toText(output), complaints: toText(complaints) }
}

function toText(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8')
}

function readReport(report: unknown): ForgeReport {
  const outcomes = new Map<string, string>()
  const gas = new Map<string, number>()
  let invariantCalls = 0
  let fuzzRuns = 0
  for (const [suite, content] of members(report)) {
    for (const [test, result] of members(member(content, 'test_results'))) {
      const passed = member(result, 'status') === 'Success'
      const reason = passed ? '' : `failed: ${JSON.stringify(member(result, 'reason'))}`
      outcomes.set(`${suite.split(':').at(-1) ?? suite}.${test}`, reason)
      for (const [kind, counts] of members(member(result, 'kind'))) {
        if (kind === 'Invariant') invariantCalls += Number(member(counts, 'calls'))
        if (kind === 'Fuzz') fuzzRuns += Number(member(counts, 'runs'))
      }
      for (const [, group] of members(member(result, 'gas_snapshots'))) {
        for (const [operation, used] of members(group)) gas.set(operation, Number(used))
      }
    }
  }
  if (outcomes.size === 0) throw new Error('forge ran no test')
  return { outcomes, invariantCalls, fuzzRuns, gas }
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined
}

function members(value: unknown): readonly [string, unknown][] {
  if (typeof value !== 'object' || value === null) throw new Error('forge reported no object')
  return Object.entries(value)
}
