/** The paid server as a process that can be killed: `paid-server-child.ts OPTIONS-JSON [stop at step]`. */
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'
import { createExactPayment } from '../../src/payment/exact/exact-payment.ts'
import { startPaidServer } from './paid-server.ts'

const [options = '', stopAt] = process.argv.slice(2)
const scheme = createExactPayment({
  ...JSON.parse(options),
  curve: await loadEvmCurve(),
  clock: () => Date.now(),
  onFault: (error) => {
    process.stdout.write(`fault ${String(error)}\n`)
  },
})
const server = await startPaidServer(scheme, 10_000n, (step) => {
  if (step !== stopAt) return
  process.stdout.write(`${step}\n`)
  return new Promise(() => undefined)
})
process.stdout.write(`${server.url}\n`)
