/**
 * The program of the gateway, unchanged, in processes of which the primary, from SIGUSR2 on, has half a second of
 * patience with workers that open a keyset, where it has two minutes.
 */
const patienceMs = 120_000
const hurriedMs = 500
const { setTimeout: setReal } = globalThis
// Owned by the signal.
let isHurried = false
process.on('SIGUSR2', () => {
  isHurried = true
  process.stderr.write('the primary is in a hurry\n')
})
Object.assign(globalThis, {
  setTimeout: Object.assign(
    (call: () => void, delayMs?: number, ...values: readonly unknown[]): unknown =>
      Reflect.apply(setReal, undefined, [
        call,
        isHurried && delayMs === patienceMs ? hurriedMs : delayMs,
        ...values,
      ]),
    setReal,
  ),
})
await import('../../src/main.ts')
