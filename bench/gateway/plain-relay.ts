/** The floor: what node:http and undici cost for a relay that does nothing else. Arguments: port of the upstream. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Pool } from 'undici'

const pool = new Pool(`http://127.0.0.1:${Number(process.argv[2])}`, {
  connections: 1024,
  pipelining: 1,
})

const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    relay(request, response, Buffer.concat(chunks))
  })
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  process.stdout.write(`${JSON.stringify({ port })}\n`)
})
process.stdin.resume().on('end', () => process.exit(0))

function relay(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const headers = ['content-type', request.headers['content-type'] ?? 'application/json']
  pool.dispatch(
    { method: 'POST', path: request.url ?? '/', headers, body },
    {
      onRequestStart(controller) {
        response.on('close', () => {
          if (!response.writableFinished) controller.abort(new Error('the caller left'))
        })
      },
      onResponseStart(_controller, status, answerHeaders) {
        response.writeHead(status, answerHeaders)
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return
        controller.pause()
        response.once('drain', () => {
          controller.resume()
        })
      },
      onResponseEnd() {
        response.end()
      },
      onResponseError() {
        response.destroy()
      },
    },
  )
}
