/** A TLS connection whose peer nobody has judged yet: only its key is read. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { ClientError } from '../errors.ts'

/** A connection, and the SHA-256 of the SubjectPublicKeyInfo that its peer proved to hold in the handshake. */
export type TlsConnection = {
  readonly socket: TLSSocket
  readonly spki: Uint8Array
  /** DER. */
  readonly certificate: Uint8Array
}

/**
 * Connects. Whoever calls this compares `spki` before anything is written: authorities are not asked, on purpose,
 * because the gateway's certificate is signed by itself.
 *
 * @throws ClientError `gateway-unreachable`.
 */
export async function openTls(origin: string, timeoutMs: number): Promise<TlsConnection> {
  const { hostname, port } = new URL(origin)
  const host = hostname.replaceAll(/^\[|\]$/g, '')
  const socket = connect({
    host,
    port: port === '' ? 443 : Number(port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  })
  const timer = setTimeout(() => socket.destroy(new Error('no handshake in time')), timeoutMs)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('closed before the handshake')))
    })
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) throw new Error('no certificate')
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
    return {
      socket,
      spki: createHash('sha256').update(spki).digest(),
      certificate: certificate.raw,
    }
  } catch (cause) {
    socket.destroy()
    throw new ClientError('gateway-unreachable', { detail: origin, cause })
  } finally {
    clearTimeout(timer)
  }
}
