/** An upstream over plain HTTP that answers as a test writes it, by the model that is asked for. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'

/** Answers one request, whose body has arrived. */
export type Script = (response: ServerResponse) => void

/** A running upstream. */
export interface ScriptedUpstream {
  readonly url: string
  stop(): Promise<void>
}

/** Starts it; a model without a script gets 404. */
export async function startScriptedUpstream(
  scripts: ReadonlyMap<string, Script>,
): Promise<ScriptedUpstream> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => {
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
      const model = typeof body === 'object' && body !== null && 'model' in body ? body.model : ''
      const script = scripts.get(String(model))
      if (script === undefined) response.writeHead(404).end()
      else script(response)
    })
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/v1`,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
