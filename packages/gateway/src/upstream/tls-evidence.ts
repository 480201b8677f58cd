/** What the TLS session to an upstream showed, read exactly once per socket (docs/decisions/2026-11-21-upstream-tls.md). */
import { hash, type X509Certificate } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { buildConnector } from 'undici'

/** The `tls` part of the `upstream` claim (spec/receipt.md RC4). */
export type TlsEvidence = ReadonlyMap<string, CborValue>

/** Told which socket carries a call. */
export type SocketObserver = { onSocket(evidence: TlsEvidence | undefined): void }

const maxChain = 10
const evidenceBySocket = new WeakMap<Socket, TlsEvidence>()
// undici reports the start of a request to its handler and then, in the same turn, its socket to the channel.
let starting: SocketObserver | undefined

subscribe('undici:client:sendHeaders', (message) => {
  const observer = starting
  starting = undefined
  if (observer === undefined || typeof message !== 'object' || message === null) return
  const socket: unknown = 'socket' in message ? message.socket : undefined
  observer.onSocket(socket instanceof TLSSocket ? evidenceBySocket.get(socket) : undefined)
})

/** Called by a handler when undici starts its request: the socket that is reported next is its own. */
export function expectSocket(observer: SocketObserver): void {
  starting = observer
}

/**
 * A connector whose sockets all have evidence: no session is resumed, because a resumed one shows no certificate,
 * and HTTP/2 is off, so that one socket carries one call at a time.
 */
export function createEvidenceConnector(options: {
  readonly ca: string | undefined
  readonly timeoutMs: number
}): buildConnector.connector {
  const connect = buildConnector({
    timeout: options.timeoutMs,
    maxCachedSessions: 0,
    allowH2: false,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  })
  return (target, callback) => {
    connect(target, (error, socket) => {
      if (error !== null) {
        callback(error, null)
        return
      }
      if (socket instanceof TLSSocket) {
        const evidence = readEvidence(socket)
        if (evidence === undefined) {
          socket.destroy()
          callback(new Error('the upstream showed no certificate'), null)
          return
        }
        evidenceBySocket.set(socket, evidence)
      }
      callback(null, socket)
    })
  }
}

function readEvidence(socket: TLSSocket): TlsEvidence | undefined {
  const leaf = socket.getPeerX509Certificate()
  const version = socket.getProtocol()
  if (leaf === undefined || version === null) return undefined
  const chain: Uint8Array[] = []
  let certificate: X509Certificate | undefined = leaf
  while (certificate !== undefined && chain.length < maxChain) {
    chain.push(hash('sha256', certificate.raw, 'buffer'))
    certificate = certificate.issuerCertificate
  }
  const spki = leaf.publicKey.export({ type: 'spki', format: 'der' })
  return new Map<string, CborValue>([
    ['chain', chain],
    ['spki', hash('sha256', spki, 'buffer')],
    ['version', version],
  ])
}
