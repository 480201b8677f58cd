/** The program of the gateway, unchanged, in a process whose event loop stands still for ever from SIGUSR2 on. */
process.on('SIGUSR2', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
await import('../../src/main.ts')
