/** Bytes below HTTP: for requests that no HTTP client would send. */
import { connect } from 'node:net'

/**
 * Sends bytes over a fresh connection and resolves with all that came back, as latin1, when the
 * server closes; a reset counts as a close.
 */
export async function sendRaw(origin: string, bytes: Uint8Array): Promise<string> {
  const { hostname, port } = new URL(origin)
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    socket.setEncoding('latin1').on('data', (piece) => {
      text += String(piece)
    })
    socket.on('error', () => undefined)
    socket.once('close', () => {
      resolve(text)
    })
  })
}
