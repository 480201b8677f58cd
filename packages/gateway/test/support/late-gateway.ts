/**
 * The program of the gateway, unchanged, in processes of which the second worker hears only on SIGUSR2 that it may adopt
 * a configuration.
 */
import cluster from 'node:cluster'

if (cluster.worker?.id === 2) {
  const emit = process.emit.bind(process)
  const allowed = Promise.withResolvers<void>()
  process.on('SIGUSR2', allowed.resolve)
  Object.assign(process, {
    emit: (...values: unknown[]): unknown => {
      const emitNow = (): unknown => Reflect.apply(emit, undefined, values)
      if (values[0] !== 'message') return emitNow()
      if (!JSON.stringify(values[1]).includes('"name":"adopt"')) return emitNow()
      void allowed.promise.then(emitNow)
      return true
    },
  })
}
await import('../../src/main.ts')
