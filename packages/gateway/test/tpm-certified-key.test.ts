/** A key that a platform certified, as on Google Cloud. Software TPM, test CA: no hardware stands behind it. */
import { createPublicKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parsePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  createCertificate,
  pinOf,
  planChain,
  toPem,
} from '../../../test/vectors/attestation/certificate.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import { attestationKeyTemplate } from '../src/enclave/tpm/tpm-templates.ts'
import { withAttestationKey, withTpm } from '../src/enclave/tpm/tpm-session.ts'
import type { TpmAddress } from '../src/enclave/tpm/tpm-transport.ts'
import { startSwtpm, swtpmMissing, type RunningSwtpm } from './support/start-swtpm.ts'
import { writeNv } from './support/write-nv.ts'

const timeoutMs = 60_000
const nowMs = Date.now()
const dates = Array.from({ length: 3 }, () => [nowMs - 86_400_000, nowMs + 86_400_000] as const)
const indexRight = 0x01c10002
const indexWrong = 0x01c10010
let swtpm: RunningSwtpm | undefined
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-certified-'))
  if (swtpmMissing === undefined) swtpm = await startSwtpm()
})
afterAll(async () => {
  await swtpm?.stop()
  rmSync(folder, { recursive: true })
})

test('quotes by the key of the platform, and refuses a certificate for another key', async ({
  skip,
}) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const tpm: TpmAddress = { kind: 'unix', path: swtpm.socketPath }
  const plans = planChain('Countersign test platform', dates)
  const [root = new Uint8Array(0), issuer = new Uint8Array(0), other = new Uint8Array(0)] =
    plans.map(createCertificate)
  await withTpm(tpm, timeoutMs, async (transport) => {
    const spki = await withAttestationKey(transport, async ({ public: ak }) => {
      const point = Buffer.from(ak.key.bytes.subarray(1))
      const [x, y] = [point.subarray(0, 32), point.subarray(32)]
      const jwk = {
        kty: 'EC',
        crv: 'P-256',
        x: x.toString('base64url'),
        y: y.toString('base64url'),
      }
      const key = createPublicKey({ key: jwk, format: 'jwk' })
      return Uint8Array.from(key.export({ type: 'spki', format: 'der' }))
    })
    const [, , leaf = new Uint8Array(0)] = plans.map((plan, depth) =>
      createCertificate(depth === 2 ? { ...plan, key: { ...plan.key, spki } } : plan),
    )
    // Room for more than the certificate takes, as makers leave it.
    await writeNv(transport, indexRight, Buffer.concat([leaf, Buffer.alloc(600)]))
    await writeNv(transport, indexRight + 1, attestationKeyTemplate)
    await writeNv(transport, indexWrong, other)
    await writeNv(transport, indexWrong + 1, attestationKeyTemplate)
  })
  const authoritiesFile = join(folder, 'authorities.pem')
  writeFileSync(authoritiesFile, toPem([root, issuer]))
  const open = (index: number, file = authoritiesFile): ReturnType<typeof openAttester> =>
    openAttester(
      {
        kind: 'tpm',
        tpm,
        timeoutMs,
        pcrs: [0],
        applicationPcr: 14,
        enrolmentFile: '',
        akCertificate: { index, authoritiesFile: file },
      },
      { build: sha256(Buffer.from('build')), configuration: sha256(Buffer.from('config')) },
    )
  const reportData = randomBytes(64)
  const attester = await open(indexRight)
  const evidence = parsePlatformEvidence(await attester.attest(reportData, nowMs))
  const roots = new Set([pinOf(root)])
  const { checks, claims } = await appraiseTpm(evidence, { asOfMs: nowMs, roots })
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(checks.find(({ id }) => id === 'chain')?.status).toBe('passed')
  expect(claims?.binding).toEqual({ form: 'sha256', values: [sha256(reportData)] })
  await expect(open(indexWrong)).rejects.toMatchObject({ code: 'enrolment-mismatch' })
  await expect(open(0x01c10020)).rejects.toMatchObject({ code: 'attester-malformed' })
  await expect(open(indexRight, join(folder, 'none'))).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
})
