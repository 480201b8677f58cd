/**
 * The program of the gateway, unchanged, in processes of which the second worker hears only on SIGUSR2 that it may adopt
 * a configuration.
 */
import cluster from 'node:cluster'

if (cluster.worker?.id === 2) {
  const emit = process.emit.bind(process) as (name: string, ...values: unknown[]) => boolean
  const allowed = Promise.withResolvers<void>()
  process.on('SIGUSR2', allowed.resolve)
  Object.assign(process, {
    emit: (name: string, ...values: unknown[]): boolean => {
      const isAdoption = name === 'message' && JSON.stringify(values).includes('"name":"adopt"')
      if (!isAdoption) return emit(name, ...values)
      void allowed.promise.then(() => emit(name, ...values))
      return true
    },
  })
}
await import('../../src/main.ts')
