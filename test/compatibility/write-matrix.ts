/** `npm run compatibility`: runs every client through the gateway and writes docs/compatibility.md. */
import { writeFileSync } from 'node:fs'
import { judgeCase, type JudgedCase } from './judge-case.ts'
import { findSurprises, writeMatrix } from './matrix.ts'
import { findMissing, readVersions, runClients, startCompatibility } from './run-matrix.ts'

const missing = findMissing()
if (missing.length > 0) {
  console.error(`not installed: ${missing.join(', ')}; npm ci --prefix test/compatibility`)
  process.exit(1)
}
const gateway = await startCompatibility()
const { origin, apiKey } = gateway
try {
  const reports = await runClients(origin, apiKey)
  const judged: JudgedCase[] = []
  for (const report of reports) judged.push(await judgeCase(origin, report))
  const surprises = findSurprises(judged)
  for (const surprise of surprises) console.error(surprise)
  const file = new URL('../../docs/compatibility.md', import.meta.url)
  writeFileSync(file, writeMatrix(reports, judged, readVersions()))
  console.log(`docs/compatibility.md: ${String(judged.length)} cases`)
  process.exitCode = surprises.length === 0 ? 0 : 1
} finally {
  await gateway.stop()
}
