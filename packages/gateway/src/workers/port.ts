/** The port that all workers listen on. */
import { createServer } from 'node:net'
import type { LoadedConfig } from '../config/load-config.ts'

/**
 * Workers share a port by its number, and the system would let others share it, too: it must be nobody's. 0 takes one.
 *
 * @throws Error EADDRINUSE and the like.
 */
export async function findPort({ host, port }: LoadedConfig['config']['listen']): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('there is no free port')
  return address.port
}

/** Where callers find the workers. */
export function urlOf({ listen: { host, tls } }: LoadedConfig['config'], port: number): string {
  const protocol = tls === undefined ? 'http' : 'https'
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
