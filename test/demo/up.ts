/** `npm run up`: `countersign up` with the loopback provider behind it. Options after `--` go to `countersign up`. */
import { spawn } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { startLoopbackProvider } from '../provider/start.ts'

const cli = fileURLToPath(new URL('../../packages/client/src/cli/main.ts', import.meta.url))

// Ctrl-C reaches the whole group of processes; this one waits for the network to stop, then ends too.
process.on('SIGINT', () => undefined)
const provider = await startLoopbackProvider()
try {
  process.stdout.write('provider: the loopback provider (no model runs; it echoes)\n')
  const args = ['--upstream', provider.url, '--upstream-ca', provider.caFile]
  const models = ['--model', 'loopback-echo', '--model', 'loopback-slow']
  const child = spawn(
    process.execPath,
    ['--conditions=source', cli, 'up', ...args, ...models, ...process.argv.slice(2)],
    { stdio: 'inherit' },
  )
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.exitCode = await new Promise<number>((resolve) => {
    child.once('close', (code) => resolve(code ?? 1))
  })
} finally {
  await provider.stop()
}
