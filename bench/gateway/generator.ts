/** The load generator: raw sockets, one closed loop per connection. Its argument is a LoadJob as JSON. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { readCpuUs } from './cpu-time.ts'
import { toPercentiles, type LoadJob, type LoadResult, type LoadWindow } from './load-job.ts'
import { createRequestBody, jsonAnswer, nowUs, stampDigits, stampMark } from './wire.ts'

const job: LoadJob = JSON.parse(process.argv[2] ?? '')
const request = createRequest(job)
const statementHeader = 'x-receipt-statement: '

// Owned by this process: what was counted since the windows began.
const seen = {
  isMeasuring: false,
  warmUpRequests: 0,
  requests: 0,
  events: 0,
  receipts: 0,
  faults: 0,
  firstFault: null as string | null,
  latencies: [] as number[],
  lags: [] as number[],
  lastReceipt: null as LoadResult['lastReceipt'],
}

type Connection = {
  readonly socket: Socket
  held: string
  /** The head of the answer under way, once it is complete. */
  head: string | undefined
  sentUs: number
}

const sockets: Socket[] = []
for (let index = 0; index < job.connections; index++) {
  setTimeout(
    () => {
      openConnection()
    },
    (index * job.spreadMs) / job.connections,
  )
}
await warmUp(job)
seen.isMeasuring = true
const windows: LoadWindow[] = []
while (windows.length < job.windows) windows.push(await measureWindow())
seen.isMeasuring = false
for (const socket of sockets) socket.destroy()
const { requests, events, receipts, faults, firstFault, lastReceipt } = seen
const result: LoadResult = {
  windows,
  requests,
  events,
  receipts,
  faults,
  firstFault,
  latency: toPercentiles(seen.latencies),
  lag: toPercentiles(seen.lags),
  lastReceipt,
}
process.stdout.write(`${JSON.stringify(result)}\n`)

async function warmUp({ warmUpMs, warmUpRequests }: LoadJob): Promise<void> {
  const startMs = performance.now()
  await sleep(warmUpMs)
  while (seen.warmUpRequests < warmUpRequests && performance.now() < startMs + 4 * warmUpMs) {
    await sleep(50)
  }
}

async function measureWindow(): Promise<LoadWindow> {
  const before = { requests: seen.requests, cpuUs: readCpuUs(job.pids), startMs: performance.now() }
  await sleep(job.windowMs)
  return {
    requests: seen.requests - before.requests,
    cpuUs: readCpuUs(job.pids) - before.cpuUs,
    elapsedMs: performance.now() - before.startMs,
  }
}

function openConnection(): void {
  const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true })
  const connection: Connection = { socket, held: '', head: undefined, sentUs: 0 }
  sockets.push(socket)
  const take = job.shape === 'json' ? takeWhole : takeStream
  socket.setEncoding('latin1')
  socket.on('connect', () => {
    send(connection)
  })
  socket.on('data', (text: string) => {
    connection.held += text
    if (connection.head === undefined) takeHead(connection)
    if (connection.head !== undefined) take(connection, connection.head)
  })
  socket.on('error', (error) => {
    fault(error.message)
  })
  socket.on('close', () => {
    if (!socket.readableEnded) return
    fault('a connection was closed')
  })
}

function send(connection: Connection): void {
  connection.held = ''
  connection.head = undefined
  connection.sentUs = nowUs()
  connection.socket.write(request, 'latin1')
}

function takeHead(connection: Connection): void {
  const end = connection.held.indexOf('\r\n\r\n')
  if (end < 0) return
  connection.head = connection.held.slice(0, end + 2)
  connection.held = connection.held.slice(end + 4)
  if (connection.head.startsWith('HTTP/1.1 200 ')) return
  fault(`${connection.head.slice(0, 40)} ${connection.held.slice(0, 200)}`)
}

function takeWhole(connection: Connection, head: string): void {
  const length = Number(fieldOf(head, 'content-length: ') ?? fieldOf(head, 'Content-Length: '))
  if (!(connection.held.length >= length)) return
  if (length !== jsonAnswer.length) fault(`${length} bytes of ${jsonAnswer.length}`)
  finish(connection, head, head)
}

function takeStream(connection: Connection, head: string): void {
  const { held } = connection
  const done = held.indexOf('data: [DONE]')
  let from = 0
  for (;;) {
    const mark = held.indexOf(stampMark, from)
    const stampStart = mark + stampMark.length + 1
    if (mark < 0 || stampStart + stampDigits > held.length) break
    from = stampStart + stampDigits
    if (!seen.isMeasuring) continue
    seen.events++
    seen.lags.push(nowUs() - Number(held.slice(stampStart, from)))
  }
  const last = done < 0 ? -1 : held.indexOf('\r\n0\r\n', done)
  if (last >= 0 && held.endsWith('\r\n\r\n')) finish(connection, head, held.slice(last))
  // What could be the beginning of a mark or of the end stays.
  else connection.held = held.slice(Math.max(from, done < 0 ? held.length - 64 : done))
}

/** `signed`: the head or the trailers, where the statement must be. */
function finish(connection: Connection, head: string, signed: string): void {
  if (signed.includes(statementHeader) !== job.hasReceipts)
    fault('a statement is missing, or is there')
  if (seen.isMeasuring) {
    seen.requests++
    seen.latencies.push(nowUs() - connection.sentUs)
    if (job.hasReceipts) {
      seen.receipts++
      const id = fieldOf(head, 'x-receipt-id: ')
      const token = fieldOf(head, 'x-receipt-token: ')
      if (id !== undefined && token !== undefined) seen.lastReceipt = { id, token }
    }
  } else seen.warmUpRequests++
  send(connection)
}

function fieldOf(head: string, name: string): string | undefined {
  const start = head.indexOf(name)
  return start < 0 ? undefined : head.slice(start + name.length, head.indexOf('\r\n', start))
}

function fault(what: string): void {
  seen.faults++
  seen.firstFault ??= what
}

function createRequest({ path, headers, shape, port }: LoadJob): string {
  const body = createRequestBody(shape)
  const fields = { host: `127.0.0.1:${port}`, 'content-type': 'application/json', ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n${body}`
}
