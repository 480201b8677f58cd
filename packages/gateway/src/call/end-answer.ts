/** Ends answers: nobody keeps one, or its connection, by never reading it. */
import type { ServerResponse } from 'node:http'

/** A caller takes a part of what waits for it at least so often. */
export const unreadMs = 120_000

/**
 * Ends an answer, with these bytes. As long as they wait for a caller who takes nothing the connection has a bound; a
 * slow reader is no such caller.
 */
export function endAnswer(
  response: ServerResponse,
  body: Uint8Array | string = '',
  patienceMs: number = unreadMs,
): void {
  // As text of one byte a character it leaves in one piece with the head.
  if (typeof body === 'string') response.end(body, 'latin1')
  else response.end(body)
  boundWait(response, patienceMs)
}

function boundWait(response: ServerResponse, patienceMs: number): void {
  const { socket, req: request } = response
  if (response.writableFinished || request.socket.destroyed) return
  if (socket === null) {
    // Behind another answer on its connection, which has the bound until it has left.
    setTimeout(boundWait, patienceMs, response, patienceMs).unref()
    return
  }
  // The server destroys a connection whose time is over.
  socket.setTimeout(patienceMs)
  // Before the server gives it the time that it has without any call.
  response.prependOnceListener('finish', () => {
    socket.setTimeout(0)
  })
}
