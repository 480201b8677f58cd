/** Whether a firmware's log leads to the registers that hardware signed (spec/attestation.md). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { replayBootLog, type BootEvent, type RegisterBank } from './tcg-log.ts'

/**
 * The events of a log, when each register that it names and that was signed has the value it leads to.
 *
 * Registers that were not signed prove nothing: their events are left out of the result.
 *
 * @throws EvidenceError `event-log-malformed`, `event-log-mismatch`, the latter also when no register was signed.
 */
export function checkBootLog(
  log: Uint8Array,
  bank: RegisterBank,
  signed: ReadonlyMap<number, Uint8Array>,
): readonly BootEvent[] {
  const { events, registers } = replayBootLog(log, bank)
  const proven = new Set<number>()
  for (const [register, value] of registers) {
    const expected = signed.get(register)
    if (expected === undefined) continue
    refuseUnless(equalBytes(expected, value), 'event-log-mismatch', `register ${register}`)
    proven.add(register)
  }
  refuseUnless(proven.size > 0, 'event-log-mismatch', 'no register')
  return events.filter(({ register }) => proven.has(register))
}
