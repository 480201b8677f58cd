/** The TPM client against a real TPM 2.0 in software, over a socket and over a character device. */
import { createHash, createPublicKey, randomBytes, verify, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tpmName } from '@countersign/protocol/attestation/tpm/tpm-public'
import {
  activateCredential,
  createPrimary,
  extendPcr,
  flushContext,
  hasSha256Bank,
  quotePcrs,
  readPcrs,
} from '../src/enclave/tpm/tpm-client.ts'
import { readNv } from '../src/enclave/tpm/tpm-nv.ts'
import {
  attestationKeyTemplate,
  endorsementCertificateIndex,
  endorsementKeyTemplate,
} from '../src/enclave/tpm/tpm-templates.ts'
import { makeCredential } from '@countersign/protocol/attestation/tpm/make-credential'
import { withAttestationKey, withEndorsementKey, withTpm } from '../src/enclave/tpm/tpm-session.ts'
import type { TpmAddress, TpmTransport } from '../src/enclave/tpm/tpm-transport.ts'
import {
  deviceMissing,
  startSwtpm,
  swtpmMissing,
  type RunningSwtpm,
} from './support/start-swtpm.ts'

let swtpm: RunningSwtpm | undefined

beforeAll(async () => {
  if (swtpmMissing === undefined) swtpm = await startSwtpm()
})
afterAll(async () => {
  await swtpm?.stop()
})

function use<T>(running: RunningSwtpm, task: (tpm: TpmTransport) => Promise<T>): Promise<T> {
  const address: TpmAddress = { kind: 'unix', path: running.socketPath }
  return withTpm(address, 60_000, task)
}

test('the endorsement key is the one of the certificate, which the test authority issued', async ({
  skip,
}) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const { issuerCertificate } = swtpm
  await use(swtpm, async (tpm) => {
    const stored = await readNv(tpm, endorsementCertificateIndex)
    const certificate = new X509Certificate(stored ?? Buffer.alloc(0))
    const issuer = new X509Certificate(issuerCertificate)
    expect(certificate.verify(issuer.publicKey)).toBe(true)
    const ek = await withEndorsementKey(tpm, async (key) => key)
    const modulus = certificate.publicKey.export({ format: 'jwk' }).n
    expect(Buffer.from(ek.public.key.bytes).toString('base64url')).toBe(modulus)
    expect(await readNv(tpm, 0x01c10000)).toBeUndefined()
  })
})

test('primary keys are the same each time, and none is left behind', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const names = new Set<string>()
  // A TPM holds three keys at a time: a fourth would be refused.
  for (let round = 0; round < 5; round++) {
    await use(swtpm, (tpm) =>
      withAttestationKey(tpm, async (key) => {
        names.add(Buffer.from(await tpmName(key.public)).toString('hex'))
      }),
    )
  }
  expect(names.size).toBe(1)
  await use(swtpm, async (tpm) => {
    const failing = withAttestationKey(tpm, async () => {
      await flushContext(tpm, 0x80ffffff)
    })
    await expect(failing).rejects.toMatchObject({
      code: 'attester-refused',
      command: 'FlushContext',
    })
    const keys = [
      await createPrimary(tpm, attestationKeyTemplate),
      await createPrimary(tpm, attestationKeyTemplate),
      await createPrimary(tpm, attestationKeyTemplate),
    ]
    await expect(createPrimary(tpm, attestationKeyTemplate)).rejects.toMatchObject({
      responseCode: 0x902,
    })
    for (const { handle } of keys) await flushContext(tpm, handle)
  })
})

test('extends and reads PCRs, and quotes them with the data of the caller', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  await use(swtpm, async (tpm) => {
    expect(await hasSha256Bank(tpm)).toBe(true)
    const [before = Buffer.alloc(0)] = await readPcrs(tpm, [15])
    const digest = randomBytes(32)
    await extendPcr(tpm, 15, digest)
    const values = await readPcrs(tpm, [0, 15])
    const extended = createHash('sha256').update(before).update(digest).digest()
    expect(Buffer.from(values[1] ?? []).equals(extended)).toBe(true)
    const data = randomBytes(32)
    const { key, quoted } = await withAttestationKey(tpm, async (ak) => ({
      key: ak,
      quoted: await quotePcrs(tpm, ak, data, [0, 15]),
    }))
    expect(Buffer.from(quoted.quote.extraData).equals(data)).toBe(true)
    expect(quoted.quote.selections).toEqual([{ hash: 0x0b, pcrs: [0, 15] }])
    const pcrDigest = createHash('sha256').update(Buffer.concat(values)).digest()
    expect(Buffer.from(quoted.quote.pcrDigest).equals(pcrDigest)).toBe(true)
    const point = Buffer.from(key.public.key.bytes.subarray(1))
    const jwk = {
      kty: 'EC',
      crv: 'P-256',
      x: point.subarray(0, 32).toString('base64url'),
      y: point.subarray(32).toString('base64url'),
    }
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    const signature = Buffer.concat([
      quoted.signature.subarray(6, 38),
      quoted.signature.subarray(40, 72),
    ])
    expect(
      verify('sha256', quoted.attest, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature),
    ).toBe(true)
  })
})

test('activates a credential for its own key alone', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  await use(swtpm, (tpm) =>
    withEndorsementKey(tpm, (ek) =>
      withAttestationKey(tpm, async (ak) => {
        const secret = randomBytes(32)
        const right = await makeCredential(
          ek.public,
          await tpmName(ak.public),
          secret,
          randomBytes(32),
        )
        expect(Buffer.from(await activateCredential(tpm, ak, ek, right)).equals(secret)).toBe(true)
        const other = Buffer.concat([Buffer.of(0, 0x0b), randomBytes(32)])
        const wrong = await makeCredential(ek.public, other, secret, randomBytes(32))
        // A TPM has room for three sessions: each of them is flushed.
        for (let round = 0; round < 5; round++) {
          await expect(activateCredential(tpm, ak, ek, wrong)).rejects.toMatchObject({
            command: 'ActivateCredential',
            responseCode: 0x1df,
          })
        }
        expect(Buffer.from(await activateCredential(tpm, ak, ek, right)).equals(secret)).toBe(true)
      }),
    ),
  )
})

test('works the same over a character device', async ({ skip }) => {
  if (swtpm === undefined || deviceMissing !== undefined) return skip(deviceMissing)
  const device = await swtpm.serveDevice()
  try {
    const address: TpmAddress = { kind: 'device', path: device.path }
    const bySocket = await use(swtpm, (tpm) => readNv(tpm, endorsementCertificateIndex))
    const byDevice = await withTpm(address, 60_000, (tpm) =>
      readNv(tpm, endorsementCertificateIndex),
    )
    expect(bySocket?.length).toBeGreaterThan(800)
    expect(byDevice).toEqual(bySocket)
    const template = endorsementKeyTemplate
    const key = await withTpm(address, 60_000, (tpm) => createPrimary(tpm, template))
    expect(key.public.key.kind).toBe('RSA')
    await withTpm(address, 60_000, (tpm) => flushContext(tpm, key.handle))
  } finally {
    await device.stop()
  }
})
