/** Starts the loopback provider as a real child process, for tests, demo and benchmark. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LoggedRequest } from './request-log.ts'

/** Options of the child; each one is the command line option of the same name. */
export interface StartOptions {
  readonly port?: number
  readonly apiKey?: string
  readonly recordingsDir?: string
  readonly delayMs?: number
  readonly certNames?: readonly string[]
  readonly certExpired?: boolean
  readonly tlsMax?: '1.2' | '1.3'
  readonly models?: readonly string[]
}

/** A running loopback provider. */
export interface LoopbackProvider {
  /** Base URL that ends in /v1. */
  readonly url: string
  /**
   * The last 1,000 requests. With `waitUntilIdleMs` it answers as soon as `atLeast` (default 0)
   * requests have arrived and none is open, at the latest after that time (60 s at most): the way
   * to wait for an abort to arrive.
   */
  log(options?: {
    readonly waitUntilIdleMs?: number
    readonly atLeast?: number
  }): Promise<readonly LoggedRequest[]>
  /** Forgets the logged requests. */
  reset(): Promise<void>
  /** How the child ended, and its last words, when nobody asked it to. */
  failure(): string | undefined
  /** Ends the child and removes its files. Safe to call twice. */
  stop(): Promise<void>
}

/** A loopback provider behind TLS with the certificate of its own CA. */
export interface TlsLoopbackProvider extends LoopbackProvider {
  readonly caFile: string
  readonly caPem: string
}

/**
 * Starts a provider behind TLS and resolves when it accepts connections; rejects with the child's
 * standard error when it ends first. The child also ends when this process does.
 *
 * ```ts
 * const provider = await startLoopbackProvider({ apiKey: 'sk-loopback' })
 * // … call `${provider.url}/chat/completions`, trusting provider.caPem …
 * await provider.stop()
 * ```
 */
export async function startLoopbackProvider(
  options: StartOptions = {},
): Promise<TlsLoopbackProvider> {
  const directory = await mkdtemp(join(tmpdir(), 'loopback-provider-'))
  const caFile = join(directory, 'ca.pem')
  const removeDirectory = async (): Promise<void> => rm(directory, { recursive: true, force: true })
  const child = await startChild([...toArguments(options), '--ca-out', caFile]).catch(
    async (error: unknown) => {
      await removeDirectory()
      throw error
    },
  )
  // The log hook needs no proof of who answers: it goes to the child that was just started, whose
  // certificate may be wrong on purpose.
  const hook = createHook(child.url)
  const stop = async (): Promise<void> => {
    await child.stop()
    await removeDirectory()
  }
  const { url, failure } = child
  return { url, caFile, caPem: await readFile(caFile, 'utf8'), ...hook, failure, stop }
}

/** The same over plain HTTP, for benchmarks that leave TLS out. */
export async function startPlainLoopbackProvider(
  options: StartOptions = {},
): Promise<LoopbackProvider> {
  const child = await startChild([...toArguments(options), '--plain'])
  return { ...child, ...createHook(child.url) }
}

function toArguments(options: StartOptions): string[] {
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ['--port', options.port?.toString()],
    ['--api-key', options.apiKey],
    ['--recordings', options.recordingsDir],
    ['--delay-ms', options.delayMs?.toString()],
    ['--cert-names', options.certNames?.join(',')],
    ['--tls-max', options.tlsMax],
    ['--models', options.models?.join(',')],
  ]
  const flags = options.certExpired === true ? ['--cert-expired'] : []
  return [...pairs.flatMap(([name, value]) => (value === undefined ? [] : [name, value])), ...flags]
}

async function startChild(
  args: readonly string[],
): Promise<Pick<LoopbackProvider, 'url' | 'failure' | 'stop'>> {
  const script = fileURLToPath(new URL('main.ts', import.meta.url))
  const command = ['--conditions=source', script, '--exit-with-parent', ...args]
  const child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (text: string) => {
    errors = (errors + text).slice(-10_000)
  })
  const readyLine = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('error', reject)
    child.once('close', (code) => {
      reject(new Error(`The loopback provider ended with ${code} before it was ready: ${errors}`))
    })
  })
  const url = parseReadyLine(readyLine)
  // Both are owned here.
  let isAsked = false
  let failure: string | undefined
  child.once('close', (code, signal) => {
    if (!isAsked) failure = `code ${String(code)}, signal ${String(signal)}: ${errors.slice(-500)}`
  })
  return {
    url,
    failure: () => failure,
    stop: async () => {
      isAsked = true
      await stopChild(child)
    },
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

function parseReadyLine(line: string): string {
  const parsed: unknown = JSON.parse(line)
  if (typeof parsed === 'object' && parsed !== null && 'url' in parsed) {
    if (typeof parsed.url === 'string') return parsed.url
  }
  throw new Error('The loopback provider printed no ready line.')
}

function createHook(url: string): Pick<LoopbackProvider, 'log' | 'reset'> {
  return {
    async log(options = {}) {
      const { waitUntilIdleMs = 0, atLeast = 0 } = options
      const path = `/__loopback/log?idle_ms=${waitUntilIdleMs}&at_least=${atLeast}`
      // The child is this repository's own code, started by us: its log has the type it declares.
      const parsed: { readonly requests: readonly LoggedRequest[] } = JSON.parse(
        await callHook(url, 'GET', path),
      )
      return parsed.requests
    },
    async reset() {
      await callHook(url, 'POST', '/__loopback/reset')
    },
  }
}

async function callHook(url: string, method: string, path: string): Promise<string> {
  const target = new URL(path, url)
  const request =
    target.protocol === 'https:'
      ? httpsRequest(target, { method, agent: false, rejectUnauthorized: false })
      : httpRequest(target, { method, agent: false })
  return new Promise<string>((resolve, reject) => {
    request.once('error', reject)
    request.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
      })
      response.once('error', reject)
      response.once('end', () => resolve(text))
    })
    request.end()
  })
}
