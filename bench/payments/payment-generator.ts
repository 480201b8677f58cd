/** The generator of paid calls: raw sockets, every answer and its payment checked. Its argument is a file with a PaymentJob. */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { readCpuUs } from '../gateway/cpu-time.ts'
import { toPercentiles, type LoadWindow } from '../gateway/load-job.ts'
import {
  createRequestBody,
  eventsPerStream,
  jsonAnswer,
  nowUs,
  stampMark,
} from '../gateway/wire.ts'
import type { PaymentJob, PaymentResult } from './payment-job.ts'
import { createPayer, type Payment } from './payer.ts'

const job: PaymentJob = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const payer = await createPayer(job.payment)
const body = createRequestBody(job.shape, job.modelName)
const requestHead = `POST ${job.path} HTTP/1.1\r\nhost: 127.0.0.1:${job.port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`
const statementHeader = 'x-receipt-statement: '
const wantedStatus = job.payment.kind === 'same' ? job.payment.status : 200
const drainMs = 60_000
/** A window with fewer calls says nothing. */
const leastPerWindow = 5
/** A warm-up or a window takes at most so many times its time. */
const patience = 20

// Owned by this process: what was counted, and what runs.
const seen = {
  isMeasuring: false,
  isSending: true,
  measured: 0,
  calls: 0,
  receipts: 0,
  chargedAtomic: 0,
  running: 0,
  faults: 0,
  firstFault: null as string | null,
  latencies: [] as number[],
  firstBytes: [] as number[],
}
const idle: Connection[] = []
/** When calls were due that no connection was free for. */
const due: number[] = []

type Connection = {
  readonly socket: Socket
  held: string
  /** The head of the answer under way, once it is complete. */
  head: string | undefined
  payment: Payment | undefined
  dueUs: number
  sentUs: number
  firstUs: number
}

const startCpuUs = readCpuUs(job.pids)
const startMs = performance.now()
const sockets = Array.from({ length: job.connections }, () => openConnection())
const pacer = job.ratePerSecond === null ? undefined : startPacing(job.ratePerSecond)
const windows = job.payment.kind === 'each' ? await runOut() : await runWindows()
clearInterval(pacer)
seen.isSending = false
await drain()
for (const socket of sockets) socket.destroy()
const { calls, receipts, chargedAtomic, faults, firstFault } = seen
const result: PaymentResult = {
  windows,
  calls,
  receipts,
  chargedAtomic,
  faults,
  firstFault,
  latency: toPercentiles(seen.latencies),
  firstByte: toPercentiles(seen.firstBytes),
  channels: payer.chargedByChannel(),
}
process.stdout.write(`${JSON.stringify(result)}\n`)

async function runWindows(): Promise<readonly LoadWindow[]> {
  await sleepUntil(job.warmUpMs, () => seen.calls >= job.warmUpCalls)
  seen.isMeasuring = true
  const done: LoadWindow[] = []
  while (done.length < job.windows && seen.faults === 0) {
    const before = { calls: seen.measured, cpuUs: readCpuUs(job.pids), atMs: performance.now() }
    await sleepUntil(job.windowMs, () => seen.measured >= before.calls + leastPerWindow)
    done.push({
      requests: seen.measured - before.calls,
      cpuUs: readCpuUs(job.pids) - before.cpuUs,
      elapsedMs: performance.now() - before.atMs,
    })
  }
  seen.isMeasuring = false
  return done
}

/** So long, and then until there was enough. */
async function sleepUntil(leastMs: number, isEnough: () => boolean): Promise<void> {
  const untilMs = performance.now() + patience * leastMs
  await sleep(leastMs)
  while (!isEnough() && seen.faults === 0) {
    if (performance.now() > untilMs) fault('too few calls were answered')
    await sleep(5)
  }
}

/** Until every payment was used. */
async function runOut(): Promise<readonly LoadWindow[]> {
  seen.isMeasuring = true
  while (seen.faults === 0 && (payer.hasMore() || seen.running > 0)) await sleep(5)
  return [
    {
      requests: seen.calls,
      cpuUs: readCpuUs(job.pids) - startCpuUs,
      elapsedMs: performance.now() - startMs,
    },
  ]
}

/** Every call that was sent is answered: the sums of both sides can be compared. */
async function drain(): Promise<void> {
  const untilMs = performance.now() + drainMs
  while (seen.running > 0 && seen.faults === 0) {
    if (performance.now() > untilMs) fault(`${seen.running} calls were not answered`)
    await sleep(5)
  }
}

function startPacing(ratePerSecond: number): NodeJS.Timeout {
  const firstUs = nowUs()
  let sent = 0
  return setInterval(() => {
    const wanted = ((nowUs() - firstUs) * ratePerSecond) / 1_000_000
    for (; sent < wanted; sent++) due.push(firstUs + (sent * 1_000_000) / ratePerSecond)
    // The one that waits longest first: several workers have a part of the connections each.
    for (let next = idle.shift(); next !== undefined; next = idle.shift()) {
      const dueUs = due.shift()
      if (dueUs === undefined) {
        idle.unshift(next)
        return
      }
      send(next, dueUs)
    }
  }, 1)
}

function openConnection(): Socket {
  const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true })
  const connection: Connection = {
    socket,
    held: '',
    head: undefined,
    payment: undefined,
    dueUs: 0,
    sentUs: 0,
    firstUs: 0,
  }
  socket.setEncoding('latin1')
  socket.on('connect', () => {
    goOn(connection)
  })
  socket.on('data', (text: string) => {
    if (connection.firstUs === 0) connection.firstUs = nowUs()
    connection.held += text
    if (connection.head === undefined) takeHead(connection)
    if (connection.head !== undefined) takeBody(connection, connection.head)
  })
  socket.on('error', (error) => {
    fault(error.message)
  })
  socket.on('close', () => {
    if (socket.readableEnded) fault('a connection was closed')
  })
  return socket
}

/** The next call of a connection that is free. */
function goOn(connection: Connection): void {
  if (!seen.isSending) return
  if (job.ratePerSecond === null) {
    send(connection, nowUs())
    return
  }
  const dueUs = due.shift()
  if (dueUs === undefined) idle.push(connection)
  else send(connection, dueUs)
}

function send(connection: Connection, dueUs: number): void {
  const payment = payer.pay()
  if (payment === undefined) {
    // A list of payments ends; of channels there must be one for each connection.
    if (job.payment.kind === 'voucher') fault('every channel is busy')
    return
  }
  connection.held = ''
  connection.head = undefined
  connection.payment = payment
  connection.dueUs = dueUs
  connection.firstUs = 0
  seen.running++
  connection.sentUs = nowUs()
  connection.socket.write(`${requestHead}${payment.headers}\r\n${body}`, 'latin1')
}

function takeHead(connection: Connection): void {
  const end = connection.held.indexOf('\r\n\r\n')
  if (end < 0) return
  connection.head = connection.held.slice(0, end + 2)
  connection.held = connection.held.slice(end + 4)
  if (connection.head.startsWith(`HTTP/1.1 ${wantedStatus} `)) return
  fault(`${connection.head.slice(0, 40)} ${connection.held.slice(0, 300)}`)
}

function takeBody(connection: Connection, head: string): void {
  const { held } = connection
  const lengthText = /content-length: *(\d+)/i.exec(head)?.[1]
  if (lengthText !== undefined) {
    if (held.length >= Number(lengthText)) finish(connection, head, held, head)
    return
  }
  const last = held.endsWith('\r\n\r\n') ? held.lastIndexOf('\r\n0\r\n') : -1
  if (last >= 0) finish(connection, head, held.slice(0, last), `${head}${held.slice(last + 5)}`)
}

/** `fields`: the head, and the trailers after it. */
function finish(connection: Connection, head: string, content: string, fields: string): void {
  checkContent(content, head)
  const hasStatement = fields.includes(statementHeader)
  if (hasStatement !== job.hasReceipts) fault('a statement is missing, or is there')
  if (hasStatement) seen.receipts++
  try {
    seen.chargedAtomic += connection.payment?.check(fields) ?? 0
  } catch (error) {
    fault(error instanceof Error ? error.message : 'a payment is wrong')
  }
  seen.calls++
  seen.running--
  if (seen.isMeasuring) {
    seen.measured++
    seen.latencies.push(nowUs() - connection.dueUs)
    seen.firstBytes.push(connection.firstUs - connection.sentUs)
  }
  goOn(connection)
}

function checkContent(content: string, head: string): void {
  if (wantedStatus === 402) {
    if (!/\r\npayment-required: /i.test(head)) fault('a refusal has no offer')
  } else if (job.shape === 'json') {
    if (!content.includes(jsonAnswer)) fault('an answer is not that of the provider')
  } else if (content.split(stampMark).length !== eventsPerStream + 1) {
    fault('a stream has not all its events')
  }
}

function fault(what: string): void {
  seen.faults++
  seen.firstFault ??= what
}
