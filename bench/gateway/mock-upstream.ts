/** The provider of the benchmark: plain HTTP on raw sockets, so that it costs less than what is measured. */
import { createServer, type Socket } from 'node:net'
import {
  createEvent,
  eventsPerStream,
  jsonAnswer,
  lastEvents,
  nowUs,
  paceMs,
  readShape,
  type Shape,
} from './wire.ts'

const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n'
const wholeAnswer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: ${Buffer.byteLength(jsonAnswer)}\r\n\r\n${jsonAnswer}`
const streamEnd = `${toChunk(lastEvents)}0\r\n\r\n`

type PacedStream = { readonly socket: Socket; left: number }

// One list for each millisecond of the pace: streams do not all speak at once.
const phases = Array.from({ length: paceMs }, (): Set<PacedStream> => new Set())
let nextPhase = 0

const server = createServer({ noDelay: true }, (socket) => {
  let held = ''
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    held += text
    for (;;) {
      const end = findRequestEnd(held)
      if (end < 0) return
      answer(socket, readShape(held))
      held = held.slice(end)
    }
  })
  // A generator that has finished resets its connections.
  socket.on('error', () => socket.destroy())
})

server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  process.stdout.write(`${JSON.stringify({ port })}\n`)
})
setInterval(tick, 1)
process.stdin.resume().on('end', () => process.exit(0))

function answer(socket: Socket, shape: Shape): void {
  switch (shape) {
    case 'json':
      socket.write(wholeAnswer, 'latin1')
      return
    case 'burst': {
      const chunk = toChunk(createEvent(nowUs()))
      socket.write(streamHead + chunk.repeat(eventsPerStream) + streamEnd, 'latin1')
      return
    }
    case 'paced':
      socket.write(streamHead, 'latin1')
      phases[nextPhase++ % paceMs]?.add({ socket, left: eventsPerStream })
  }
}

// Owned by tick: the first millisecond that was not served yet.
let dueMs = Math.floor(performance.now())

/** Serves each millisecond once, also those that a busy core made late. */
function tick(): void {
  for (const nowMs = performance.now(); dueMs <= nowMs; dueMs++) servePhase(phases[dueMs % paceMs])
}

function servePhase(streams: Set<PacedStream> = new Set()): void {
  for (const stream of streams) {
    if (stream.left-- > 0) stream.socket.write(toChunk(createEvent(nowUs())), 'latin1')
    else stream.socket.write(streamEnd, 'latin1')
    if (stream.left < 0 || stream.socket.destroyed) streams.delete(stream)
  }
}

function toChunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`
}

/** Where the first request ends, or −1 when it is not complete. */
function findRequestEnd(text: string): number {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return -1
  const found = /content-length: *(\d+)/i.exec(text.slice(0, headEnd))
  const end = headEnd + 4 + Number(found?.[1] ?? 0)
  return end <= text.length ? end : -1
}
