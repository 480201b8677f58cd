/** T47: whatever happens, the sums are the same. */
import { notRun, passed, type Attack } from '../attack.ts'

/** T47: calls, kills, stalls and failures at random; then every sum is compared. */
export const auditSums: Attack = async ({ driver }) => {
  if (driver?.chaos === undefined) {
    return notRun('needs the ledger, the receipts and the chain of the server (driver)')
  }
  return passed(`${await driver.chaos()} (the long runs: npm run chaos, npm run ledger:schedules)`)
}
