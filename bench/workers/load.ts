/** Load for the benchmark of workers: `wrk` where it is installed (Debian: apt install wrk), else our own generator. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { readCpuUs } from '../gateway/cpu-time.ts'
import type { LoadJob, LoadResult } from '../gateway/load-job.ts'
import { isInstalled, nodeCommand } from '../gateway/pinned-process.ts'
import { createRequestBody } from '../gateway/wire.ts'

/** What is sent, and for how long. */
export type Load = {
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
  readonly folder: string
}

/** What came of it. CPU time is that of the generator, microseconds. */
export type LoadOutcome = {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly generatorCpuUs: number
}

const generator = new URL('../gateway/generator.ts', import.meta.url)
const path = '/v1/chat/completions'

/** Which generator runs here. */
export function generatorName(): 'wrk' | 'generator.ts' {
  return isInstalled('wrk') ? 'wrk' : 'generator.ts'
}

/** Sends until the time is over. @throws Error when an answer was none or wrong. */
export async function sendLoad(load: Load): Promise<LoadOutcome> {
  return generatorName() === 'wrk' ? await runWrk(load) : await runOwn(load)
}

async function runWrk({ port, headers, connections, seconds, folder }: Load): Promise<LoadOutcome> {
  const script = join(folder, 'post.lua')
  const fields = { 'content-type': 'application/json', ...headers }
  const lines = Object.entries(fields).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  )
  const body = `wrk.body = [==[${createRequestBody('json')}]==]`
  writeFileSync(script, ['wrk.method = "POST"', ...lines, body].join('\n'))
  const url = `http://127.0.0.1:${port}${path}`
  const options = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '30s',
    '-s',
    script,
    url,
  ]
  const { output, cpuUs } = await runMeasured('wrk', options)
  const requests = Number(/([0-9]+) requests in/.exec(output)?.[1])
  const requestsPerSecond = Number(/Requests\/sec:\s+([0-9.]+)/.exec(output)?.[1])
  const isFaulty = /Non-2xx|Socket errors/.test(output)
  if (isFaulty || !(requests > 0) || !(requestsPerSecond > 0)) throw new Error(`wrk: ${output}`)
  return { requests, requestsPerSecond, generatorCpuUs: cpuUs }
}

async function runOwn({ port, headers, connections, seconds }: Load): Promise<LoadOutcome> {
  const job: LoadJob = {
    port,
    path,
    headers,
    shape: 'json',
    connections,
    spreadMs: 0,
    warmUpMs: 0,
    warmUpRequests: 0,
    windowMs: seconds * 1000,
    windows: 1,
    pids: [],
    hasReceipts: true,
  }
  const [node = '', ...nodeArguments] = nodeCommand(generator, [JSON.stringify(job)])
  const { output, cpuUs } = await runMeasured(node, nodeArguments)
  const { requests, faults, firstFault, windows }: LoadResult = JSON.parse(output)
  if (faults > 0 || requests === 0)
    throw new Error(`${faults} faults: ${firstFault ?? 'no answer'}`)
  const elapsedMs = windows[0]?.elapsedMs ?? 1
  return { requests, requestsPerSecond: (requests * 1000) / elapsedMs, generatorCpuUs: cpuUs }
}

/** Runs a program to its end. The CPU time is that of the last look, at most a tenth of a second before the end. */
export async function runMeasured(
  program: string,
  programArguments: readonly string[],
): Promise<{ readonly output: string; readonly cpuUs: number }> {
  const child = spawn(program, programArguments, { stdio: ['ignore', 'pipe', 'inherit'] })
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} does not start`)
  let cpuUs = 0
  const timer = setInterval(() => {
    cpuUs = readIfThere(pid) ?? cpuUs
  }, 100)
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  clearInterval(timer)
  return { output, cpuUs }
}

function readIfThere(pid: number): number | undefined {
  try {
    return readCpuUs([pid])
  } catch {
    // It has ended meanwhile.
    return undefined
  }
}
