/** A server that ends TLS with the key of the current keyset (spec/statement.md ST4.1). */
import type { RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TlsKey } from '../keys/tls-key.ts'
import type { TlsKeys } from '../keys/tls-keys.ts'

/** How long callers may take. */
export const patience = { requestTimeout: 300_000, keepAliveTimeout: 75_000 } as const

/** Each epoch has a key of its own; connections that are open keep the one that they began with. */
export function createAttestedServer(keys: TlsKeys, listener: RequestListener): Server {
  const server = createServer({ ...patience, ...toContext(keys.current()) }, listener)
  keys.onChange((key) => {
    server.setSecureContext(toContext(key))
  })
  resetBelowTls(server)
  return server
}

/** Of a TLS connection only the one below it can be reset: an orderly close would look like the end of a body. */
function resetBelowTls(server: Server): void {
  // Owned here: connections whose handshake is not over, by where they come from.
  const arriving = new Map<string, Socket>()
  server.on('connection', (below: Socket) => {
    const name = nameOf(below)
    arriving.set(name, below)
    below.once('close', () => {
      if (arriving.get(name) === below) arriving.delete(name)
    })
  })
  server.on('secureConnection', (connection) => {
    const name = nameOf(connection)
    const below = arriving.get(name)
    arriving.delete(name)
    connection.resetAndDestroy = () => {
      below?.resetAndDestroy()
      return connection.destroy()
    }
  })
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${String(remoteAddress)} ${String(remotePort)}`
}

function toContext({ keyPem, certificatePem }: TlsKey): {
  readonly key: string
  readonly cert: string
  readonly minVersion: 'TLSv1.3'
} {
  return { key: keyPem, cert: certificatePem, minVersion: 'TLSv1.3' }
}
