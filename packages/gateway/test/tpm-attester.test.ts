/** The whole way of a TPM 2.0: enrolment, measurement, quote, verdict. Software TPM, test CA: no hardware behind it. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { listGatewayEvents } from '@countersign/protocol/attestation/tpm/measured-log'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createTpmAttester } from '../src/enclave/tpm/tpm-attester.ts'
import { enrolTpm } from '../src/enclave/tpm/enrol.ts'
import type { TpmAddress } from '../src/enclave/tpm/tpm-transport.ts'
import { startSwtpm, swtpmMissing, type RunningSwtpm } from './support/start-swtpm.ts'
import { createTestChallenger } from './support/test-challenger.ts'

let swtpm: RunningSwtpm | undefined
beforeAll(async () => {
  if (swtpmMissing === undefined) swtpm = await startSwtpm()
})
afterAll(async () => {
  await swtpm?.stop()
})

test('enrols, measures, quotes, verifies', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const address: TpmAddress = { kind: 'unix', path: swtpm.socketPath }
  const challenger = createTestChallenger(swtpm)
  let t = performance.now()
  const enrolment = await enrolTpm(address, 10_000, challenger)
  console.log('enrol', performance.now() - t)
  const build = randomBytes(32)
  const config = randomBytes(32)
  t = performance.now()
  const source = await createTpmAttester({
    address,
    timeoutMs: 10_000,
    pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14],
    applicationPcr: 14,
    events: listGatewayEvents(build, config),
    enrolment,
  })
  console.log('create', performance.now() - t)
  const reportData = createReportData(randomBytes(32), randomBytes(32))
  t = performance.now()
  const evidence = await source.attest(reportData)
  console.log('attest', performance.now() - t, evidence.raw.length, enrolment.length)
  t = performance.now()
  const roots = new Set([toHex(sha256(swtpm.rootCertificate)), challenger.pin])
  const appraisal = await appraiseTpm(evidence, { asOfMs: Date.now(), roots })
  console.log('appraise', performance.now() - t)
  console.log(appraisal)
  expect(appraisal.claims?.binding.values[0]).toEqual(sha256(reportData))
})
