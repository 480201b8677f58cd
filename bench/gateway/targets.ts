/** What is measured: the same calls, through nothing, through plain relays, and through this gateway. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  isInstalled,
  nodeCommand,
  parseObject,
  spawnPinned,
  startPinned,
  stop,
} from './pinned-process.ts'
import { model } from './wire.ts'

/** The targets in the order of the report. */
export const targetNames = [
  'direct',
  'nginx',
  'plain-relay',
  'portkey',
  'gateway-passthrough',
  'gateway-receipts',
  'gateway-receipts-api-key',
] as const

/** Name of a target. */
export type TargetName = (typeof targetNames)[number]

/** A running target. */
export type Target = {
  readonly name: TargetName
  readonly port: number
  readonly pids: readonly number[]
  readonly headers: Readonly<Record<string, string>>
  readonly hasReceipts: boolean
  /** False where no stream passes at all. */
  readonly hasStreams: boolean
  readonly stop: () => Promise<void>
}

const budgetAtomic = '1000000000000'
const thisTree = new URL('../../', import.meta.url)
const peers = join(import.meta.dirname, '../peers/node_modules')
const portkeyMain = join(peers, '@portkey-ai/gateway/build/start-server.js')
const apiKeyAdmin = new URL('../../packages/gateway/src/payment/api-key-admin.ts', import.meta.url)

/** Starts a target in front of the mock upstream; `undefined` when it is not installed. */
export async function startTarget(
  name: TargetName,
  upstreamPort: number,
  folder: string,
): Promise<Target | undefined> {
  const plain = { name, headers: {}, hasReceipts: false, hasStreams: true }
  switch (name) {
    case 'direct':
      return { ...plain, port: upstreamPort, pids: [], stop: () => Promise.resolve() }
    case 'nginx':
      return isInstalled('nginx') ? await startNginx(upstreamPort, folder) : undefined
    case 'plain-relay': {
      const program = new URL('./plain-relay.ts', import.meta.url)
      const child = await startPinned(1, nodeCommand(program, [String(upstreamPort)]))
      return { ...plain, port: Number(child.hello['port']), pids: [child.pid], stop: child.stop }
    }
    case 'portkey':
      return existsSync(portkeyMain) ? await startPortkey(upstreamPort) : undefined
    case 'gateway-passthrough':
      return startGateway(name, upstreamPort, folder, { hasReceipts: false, hasApiKey: false })
    case 'gateway-receipts':
      return startGateway(name, upstreamPort, folder, { hasReceipts: true, hasApiKey: false })
    case 'gateway-receipts-api-key':
      return startGateway(name, upstreamPort, folder, { hasReceipts: true, hasApiKey: true })
  }
}

/** Starts the gateway of this tree, or of another one, with a folder of its own. */
export async function startGateway(
  name: TargetName,
  upstreamPort: number,
  parent: string,
  { hasReceipts, hasApiKey }: { readonly hasReceipts: boolean; readonly hasApiKey: boolean },
  tree: URL = thisTree,
): Promise<Target> {
  const gatewayMain = new URL('packages/gateway/src/main.ts', tree)
  const folder = join(parent, name)
  const dataDir = join(folder, 'data')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const config = {
    issuer: 'bench.invalid',
    listen: { host: '127.0.0.1', port: 0 },
    dataDir: 'data',
    upstreams: [
      {
        name: 'mock',
        baseUrl: `http://127.0.0.1:${upstreamPort}/v1`,
        connections: 1024,
        models: [{ id: model, priceAtomic: '10' }],
      },
    ],
    payment: hasApiKey ? { apiKeys: { asset: 'USD' } } : 'none',
    attestation: { kind: 'simulated' },
    receipts: { enabled: hasReceipts },
    log: { level: 'error' },
  }
  const configFile = join(folder, 'countersign.config.json')
  writeFileSync(configFile, JSON.stringify(config))
  const headers: Record<string, string> = hasApiKey
    ? { authorization: `Bearer ${createApiKey(join(dataDir, 'api-keys.db'))}` }
    : {}
  const child = await startPinned(
    1,
    nodeCommand(gatewayMain, ['--config', configFile, '--exit-with-parent']),
  )
  const port = Number(new URL(String(child.hello['url'])).port)
  const pids = [child.pid]
  return { name, port, pids, headers, hasReceipts, hasStreams: true, stop: child.stop }
}

/** Makes an API key with a budget that no run uses up, and gives its secret. */
export function createApiKey(database: string): string {
  const options = ['--database', database, 'create', '--name', 'bench', '--budget', budgetAtomic]
  const [node = '', ...nodeArguments] = nodeCommand(apiKeyAdmin, options)
  const { secret } = parseObject(execFileSync(node, nodeArguments, { encoding: 'utf8' }))
  if (typeof secret !== 'string') throw new Error('no API key was made')
  return secret
}

async function startNginx(upstreamPort: number, parent: string): Promise<Target> {
  const folder = join(parent, 'nginx')
  mkdirSync(folder)
  const port = await findFreePort()
  const configFile = join(folder, 'nginx.conf')
  writeFileSync(configFile, nginxConfig(port, upstreamPort, folder))
  const child = spawnPinned(1, ['nginx', '-p', folder, '-e', 'stderr', '-c', configFile])
  child.stdout?.resume()
  if (child.pid === undefined) throw new Error('nginx does not start')
  await waitForPort(port)
  return {
    name: 'nginx',
    port,
    pids: [child.pid],
    headers: {},
    hasReceipts: false,
    hasStreams: true,
    stop: () => stop(child),
  }
}

/** Portkey's gateway as its package ships it, installed in bench/peers. It relays to the mock as to any OpenAI server. */
async function startPortkey(upstreamPort: number): Promise<Target> {
  const port = await findFreePort()
  const command = [process.execPath, portkeyMain, `--port=${port}`, '--headless']
  const child = spawnPinned(1, command)
  child.stdout?.resume()
  if (child.pid === undefined) throw new Error('portkey does not start')
  await waitForPort(port)
  return {
    name: 'portkey',
    port,
    pids: [child.pid],
    headers: {
      authorization: 'Bearer bench',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
    },
    hasReceipts: false,
    // Its version 1.15.2 answers every stream with 500: it changes headers that are immutable (its issue 1389).
    hasStreams: false,
    stop: () => stop(child),
  }
}

function nginxConfig(port: number, upstreamPort: number, folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(' ')
  return `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; ${temporary}
  keepalive_requests 100000000; keepalive_timeout 75s;
  upstream mock { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering on; client_body_buffer_size 64k;
    }
  }
}
`
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function waitForPort(port: number): Promise<void> {
  const deadline = AbortSignal.timeout(10_000)
  for (;;) {
    deadline.throwIfAborted()
    try {
      // The mock answers every request, so any answer says that both are there.
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}', signal: deadline })
      return
    } catch (error) {
      if (deadline.aborted) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
