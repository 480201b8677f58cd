import { createHash } from 'node:crypto'
import { createReportData, evidenceNonceBytes } from '@countersign/protocol/attestation/report-data'
import { expect, test } from 'vitest'
import { seededBytes } from '../../../../test/vectors/signers.ts'

test('report_data is SHA-512 over a name, the keyset digest and the nonce', () => {
  const keysetDigest = seededBytes('keyset')
  const nonce = seededBytes('nonce')
  const expected = createHash('sha512')
    .update('countersign/keyset/v1')
    .update(keysetDigest)
    .update(nonce)
    .digest()
  expect(Buffer.from(createReportData(keysetDigest, nonce))).toEqual(expected)
  expect(nonce).toHaveLength(evidenceNonceBytes)
})
