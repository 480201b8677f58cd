/** The life of the process: listen, say so, and end without losing a call. */
import type { Server as HttpServer } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { Gateway } from './call/gateway.ts'
import type { LiveGateway } from './live-gateway.ts'

type Server = HttpServer | TlsServer

const lastWordsMs = 1000
/** `EX_TEMPFAIL`: start again. */
export const exitCutOff = 75
const cleanUpEveryMs = 3_600_000
const dayMs = 86_400_000

/**
 * Listens until SIGTERM or SIGINT (or the parent's end), then lets calls under way finish for a while. SIGHUP reads the
 * configuration again.
 */
export async function run(
  live: LiveGateway,
  createServer: (isReady: () => boolean) => Server,
  exitWithParent: boolean,
): Promise<void> {
  let ready = false
  const server = createServer(() => ready)
  const { config, log } = live.current()
  const { host, port } = config.listen
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  ready = true
  const stopCleaning = keepClean(live)
  const reload = (): void => {
    // Never rejects. While the process ends the signal is heard, too: unheard, it would kill.
    if (ready) void live.reload()
  }
  process.on('SIGHUP', reload)
  process.stdout.write(`${JSON.stringify({ ready: true, url: urlOf(server, host) })}\n`)
  log.info({ url: urlOf(server, host) }, 'gateway is ready')
  await stopSignal(exitWithParent)
  ready = false
  stopCleaning()
  await closeServing(live, server)
}

/**
 * Ends a server, within `drainTimeoutMs` and `stopTimeoutMs`, whatever a call, a chain or a disk does. Who is cut off at
 * the very end is found by the next start as after a kill: what is owed is in the ledger.
 */
export async function closeServing(live: LiveGateway, server: Server): Promise<void> {
  const { pending, config, log } = live.current()
  log.info({ pending: pending.size }, 'gateway is stopping')
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve()
    })
  })
  server.closeIdleConnections()
  pending.close()
  await atMost(config.limits.drainTimeoutMs, pending.drained())
  const patience = setTimeout(() => {
    log.error({ pending: pending.size }, 'gateway could not end its calls in time')
    process.exit(exitCutOff)
  }, config.limits.stopTimeoutMs)
  if (pending.size > 0) log.warn({ pending: pending.size }, 'calls under way are ended')
  // Who is cut off now did not leave: their calls are signed as timeouts, and cost nothing.
  pending.stopAll()
  server.closeIdleConnections()
  await atMost(lastWordsMs, closed)
  server.closeAllConnections()
  await pending.drained()
  await live.close()
  clearTimeout(patience)
}

/** Waits for a promise, but not longer than this. */
export async function atMost(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const patience = Promise.withResolvers<void>()
  const timer = setTimeout(patience.resolve, timeoutMs)
  await Promise.race([promise, patience.promise])
  clearTimeout(timer)
}

/** Resolves when the process is asked to end: SIGTERM, SIGINT, or the end of its standard input. */
export function stopSignal(exitWithParent: boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      // Standard input would keep the process alive.
      process.stdin.pause()
      resolve()
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
    if (exitWithParent) process.stdin.resume().once('end', stop).once('error', stop)
  })
}

/** Removes what is too old, now and every hour until the function that it returns is called. */
export function keepClean(live: LiveGateway): () => void {
  const cleanUp = setInterval(() => {
    removeOldReceipts(live.current())
  }, cleanUpEveryMs)
  removeOldReceipts(live.current())
  return () => {
    clearInterval(cleanUp)
  }
}

function removeOldReceipts(gateway: Gateway): void {
  const keepMs = gateway.config.receipts.keepDays * dayMs
  gateway.receipts.removeOlderThan(gateway.nowMs() - keepMs)
  gateway.references.removeOlderThan(gateway.nowMs() - keepMs)
  const keepAnswersMs = gateway.config.translation.keepDays * dayMs
  gateway.upstreamAnswers?.removeOlderThan(gateway.nowMs() - keepAnswersMs)
}

/** Where a server listens. */
export function urlOf(server: Server, host: string): string {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const protocol = server instanceof TlsServer ? 'https' : 'http'
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
