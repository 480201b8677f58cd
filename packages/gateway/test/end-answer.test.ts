/** Answers that their callers do not read. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { endAnswer, unreadMs } from '../src/call/end-answer.ts'

// More than the sockets between a caller and the server hold.
const large = Buffer.alloc(30_000_000, 'x')
const request = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

async function open(patienceMs: number): Promise<{
  readonly server: Server
  readonly caller: Socket
  readonly socket: Socket
  /** Answers that have left, each with the time that its connection has then. */
  readonly left: (number | undefined)[]
}> {
  const left: (number | undefined)[] = []
  const server = createServer((asked, response) => {
    response.once('close', () => left.push(asked.socket.timeout))
    if (asked.url === '/large') endAnswer(response, large, patienceMs)
    else endAnswer(response, 'small', patienceMs)
  })
  server.keepAliveTimeout = 180_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const arriving = once(server, 'connection')
  const caller = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  caller.on('error', () => undefined)
  const [socket]: Socket[] = await arriving
  if (socket === undefined) throw new Error('no connection')
  onTestFinished(() => {
    caller.destroy()
    server.close()
    server.closeAllConnections()
  })
  return { server, caller, socket, left }
}

test.each([
  ['', request('/large')],
  [', nor one behind another', request('/small') + request('/large')],
])('who reads nothing keeps no answer for ever%s', async (_, bytes) => {
  const { caller, socket } = await open(50)
  caller.pause()
  caller.write(bytes)
  await once(socket, 'close')
  expect(socket.destroyed).toBe(true)
})

test('the time of a connection is its own again when an answer was read', async () => {
  const { server, caller, left } = await open(unreadMs)
  caller.resume()
  for (const count of [1, 2]) {
    caller.write(request(count === 1 ? '/large' : '/small'))
    await expect.poll(() => left).toHaveLength(count)
    // What the server gives a connection without a call, and a moment for its way.
    expect(left.at(-1)).toBeGreaterThanOrEqual(server.keepAliveTimeout)
  }
})
