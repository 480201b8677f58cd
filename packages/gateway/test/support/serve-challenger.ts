/** The test challenger as an HTTP service on loopback, as `http-challenger.ts` asks for it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { RunningSwtpm } from './start-swtpm.ts'
import { createTestChallenger } from './test-challenger.ts'

/** A challenger that listens. */
export interface ServedChallenger {
  readonly url: string
  /** Pin of its key. */
  readonly pin: string
  /** Paths of the requests so far. */
  readonly asked: readonly string[]
  stop(): Promise<void>
}

/** Starts it; it trusts the authority of one swtpm. */
export async function serveChallenger(swtpm: RunningSwtpm): Promise<ServedChallenger> {
  const challenger = createTestChallenger(swtpm)
  const asked: string[] = []
  const answer = async (request: IncomingMessage): Promise<[string, Uint8Array]> => {
    const [, step, id = ''] = (request.url ?? '').split('/')
    asked.push(request.url ?? '')
    const body = new Uint8Array(await buffer(request))
    if (step === 'conclude') return [id, await challenger.conclude(id, body)]
    const challenge = await challenger.challenge(body)
    return [challenge.id, challenge.credential]
  }
  const server = createServer((request, response) => {
    answer(request).then(
      ([id, body]) => response.setHeader('x-challenge-id', id).end(body),
      () => response.writeHead(403).end(),
    )
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    pin: challenger.pin,
    asked,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
