/** The life of a facilitator process: listen, say so, and end without losing a settlement. */
import type { Logger } from 'pino'
import { atMost, stopSignal, urlOf } from '../run.ts'
import { createFacilitatorServer } from './facilitator-server.ts'
import type { FacilitatorConfig } from './facilitator-config.ts'
import { openFacilitator } from './facilitator.ts'

/** Answers that are on their way get this long; what is signed is followed up by the next process. */
const drainMs = 10_000

/** Listens until SIGTERM or SIGINT (or the parent's end). Prints one line of JSON on stdout when it is ready. */
export async function runFacilitator(
  config: FacilitatorConfig,
  environment: Readonly<Record<string, string | undefined>>,
  log: Logger,
  exitWithParent: boolean,
): Promise<void> {
  const facilitator = await openFacilitator(config, {
    environment,
    clock: Date.now,
    log,
    onFault: (error) => {
      log.error({ err: error }, 'a settlement is not followed until the next start')
    },
  })
  let ready = false
  const server = createFacilitatorServer(facilitator, () => ready, log)
  const { host, port } = config.listen
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  ready = true
  const url = urlOf(server, host)
  process.stdout.write(`${JSON.stringify({ ready: true, url })}\n`)
  log.info({ url }, 'facilitator is ready')
  await stopSignal(exitWithParent)
  ready = false
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve()
    })
  })
  server.closeIdleConnections()
  await atMost(drainMs, closed)
  server.closeAllConnections()
  await facilitator.close()
}
