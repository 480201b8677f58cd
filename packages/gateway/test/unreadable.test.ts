/** Connections that end without a request that can be read. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { answerUnreadable } from '../src/http/unreadable.ts'

test.each([
  // Times as short as they are here the gateway does not have.
  ['says nothing in time', '', '408', { headersTimeout: 50, connectionsCheckingInterval: 20 }],
  ['sends what is no HTTP', 'no HTTP\r\n\r\n', '400', { headersTimeout: 0, requestTimeout: 0 }],
])('who %s and leaves its side open loses the connection', async (_, bytes, status, options) => {
  const server = createServer(options).on('clientError', (error, socket) => {
    answerUnreadable(error, socket, 50)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const arriving = once(server, 'connection')
  const caller = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let answer = ''
  caller.setEncoding('latin1').on('data', (text) => {
    answer += String(text)
  })
  const [socket]: Socket[] = await arriving
  if (socket === undefined) throw new Error('no connection')
  caller.write(bytes)
  await Promise.all([once(socket, 'close'), once(caller, 'end')])
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  caller.destroy()
})
