/** What evidence is refused with. */
import { EvidenceError, type EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'

/** The code that is refused with; `undefined` when nothing is; any other error is passed on. */
export function evidenceRefusalOf(act: () => unknown): EvidenceCode | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof EvidenceError) return error.code
    throw error
  }
}

/** The same of what takes its time. */
export async function refusalOfAsync(
  act: () => Promise<unknown>,
): Promise<EvidenceCode | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    if (error instanceof EvidenceError) return error.code
    throw error
  }
}
