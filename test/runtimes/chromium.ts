/** Headless Chromium as a run time: a page on loopback judges the vectors and posts what it found. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const programs = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const timeoutMs = 600_000

/** A page: a module to import, the function of it to call, and texts that the function gets in their order. */
export interface PageJob {
  /** Text of an ES module that needs nothing else. */
  readonly bundle: string
  readonly call: string
  readonly inputs: readonly string[]
}

/** The Chromium of this machine. */
export function findChromium(): string | undefined {
  return programs.find((program) => existsSync(program))
}

/** Calls a function in a fresh Chromium. @returns the JSON of what it returned. */
export async function runPage(program: string, job: PageJob): Promise<string> {
  const { server, report } = serve(job)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const profile = await mkdtemp(join(tmpdir(), 'countersign-chromium-'))
  // A group of its own: Chromium's helper processes outlive it unless the whole group is ended.
  const child = spawn(
    program,
    [...flags, `--user-data-dir=${profile}`, `http://127.0.0.1:${address.port}/`],
    { stdio: 'ignore', detached: true },
  )
  const exited = once(child, 'exit')
  const died = exited.then(([code]) => {
    throw new Error(`Chromium ended with ${String(code)}`)
  })
  const late = new AbortController()
  const timer = setTimeout(() => {
    late.abort(new Error(`Chromium did not answer within ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    return await Promise.race([report, died, rejectOn(late.signal)])
  } finally {
    clearTimeout(timer)
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    await Promise.allSettled([exited, died])
    server.closeAllConnections()
    server.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function rejectOn(signal: AbortSignal): Promise<never> {
  await once(signal, 'abort')
  throw signal.reason
}

function serve({ bundle, call, inputs }: PageJob): {
  readonly server: Server
  readonly report: Promise<string>
} {
  const pages = new Map([
    ['/', ['text/html', createPage(call, inputs.length)]],
    ['/module.js', ['text/javascript', bundle]],
    ...inputs.map((input, index): [string, string[]] => [`/${index}`, ['text/plain', input]]),
  ])
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      receive(request)
        .then(resolve, reject)
        .finally(() => response.end())
      return
    }
    const [type, body] = pages.get(request.url ?? '') ?? []
    if (type === undefined || body === undefined) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': type }).end(body)
  })
  return { server, report: promise }
}

function createPage(call: string, inputs: number): string {
  return `<!doctype html><meta charset="utf-8"><title>${call}</title><script type="module">
  const post = (path, body) => fetch(path, { method: 'POST', body })
  try {
    const { ${call} } = await import('/module.js')
    const read = async (_, index) => (await fetch('/' + index)).text()
    const inputs = await Promise.all(Array.from({ length: ${inputs} }, read))
    await post('/report', JSON.stringify(await ${call}(...inputs)))
  } catch (error) {
    await post('/error', String(error) + '\\n' + String(error.stack))
  }
</script>`
}

async function receive(request: IncomingMessage): Promise<string> {
  const body = await text(request)
  if (request.url === '/error') throw new Error(body)
  return body
}
