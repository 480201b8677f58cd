/** A log that nobody reads, for gateways inside the process of a test. */
import pino, { type Logger } from 'pino'

/** Makes one. */
export function createSilentLog(): Logger {
  return pino({ level: 'silent' })
}
