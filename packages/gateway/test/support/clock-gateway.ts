/** The program of the gateway, unchanged, in a process whose clock goes thirteen hours forward on SIGUSR2. */
const stepMs = 13 * 3_600_000
const { now } = Date
// Owned by the signal.
let offsetMs = 0
Date.now = () => now() + offsetMs
process.on('SIGUSR2', () => {
  offsetMs += stepMs
  process.stderr.write('the clock has moved\n')
})
await import('../../src/main.ts')
