/**
 * The program of the gateway, unchanged, in a process that says on SIGUSR2 what its memory holds when all garbage is
 * collected, and how long its event loop was held up since it was last asked. Its workers are watched like it. Needs
 * `--expose-gc`.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

const { pid, argv } = process
const { gc } = globalThis
if (gc === undefined) throw new Error('start it with --expose-gc')
const delay = monitorEventLoopDelay({ resolution: 10 })
delay.enable()
process.on('SIGUSR2', () => {
  // Of this look, not of the collection below.
  const longestStallMs = delay.max / 1e6
  // What the first one finalizes, the second one frees.
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  const held = { pid, heapMb: heapUsed / 2 ** 20, externalMb: external / 2 ** 20, longestStallMs }
  process.stderr.write(`held ${JSON.stringify(held)}\n`)
  delay.reset()
})
process.stderr.write(`watched ${JSON.stringify({ pid, isWorker: argv.includes('--worker') })}\n`)
await import('../../packages/gateway/src/main.ts')
