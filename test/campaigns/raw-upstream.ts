/** An upstream on a bare socket: it sends exactly the writes that it is told, each in a turn of its own. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

/** A running upstream. */
export interface RawUpstream {
  /** Base URL that ends in /v1. */
  readonly url: string
  stop(): Promise<void>
}

/** Answers each request by the writes that `answer` gives for the text of its body. */
export async function startRawUpstream(
  answer: (body: string) => readonly Buffer[],
): Promise<RawUpstream> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // A gateway that leaves is no fault of this side.
    socket.on('error', () => socket.destroy())
    serve(socket, answer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${String(address.port)}/v1`,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function serve(socket: Socket, answer: (body: string) => readonly Buffer[]): void {
  let held = Buffer.alloc(0)
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes])
    const headEnd = held.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = held.toString('latin1', 0, headEnd)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    const end = headEnd + 4 + length
    if (held.length < end) return
    const body = held.toString('utf8', headEnd + 4, end)
    held = held.subarray(end)
    writeAll(socket, answer(body), 0)
  })
}

function writeAll(socket: Socket, writes: readonly Buffer[], from: number): void {
  const bytes = writes[from]
  if (bytes === undefined || socket.destroyed) return
  const isTaken = socket.write(bytes)
  if (isTaken) setImmediate(writeAll, socket, writes, from + 1)
  else {
    socket.once('drain', () => {
      writeAll(socket, writes, from + 1)
    })
  }
}
