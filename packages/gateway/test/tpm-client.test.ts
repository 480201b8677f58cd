import { createHash, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSwtpm, swtpmMissing, type RunningSwtpm } from './support/start-swtpm.ts'
import {
  createPrimary,
  extendPcr,
  flushContext,
  hasSha256Bank,
  quotePcrs,
  readNv,
  readPcrs,
  startup,
} from '../src/enclave/tpm/tpm-client.ts'
import {
  attestationKeyTemplate,
  endorsementCertificateIndex,
  endorsementKeyTemplate,
} from '../src/enclave/tpm/tpm-templates.ts'
import { openTpm, type TpmTransport } from '../src/enclave/tpm/tpm-transport.ts'

let swtpm: RunningSwtpm | undefined

beforeAll(async () => {
  if (swtpmMissing === undefined) swtpm = await startSwtpm()
})
afterAll(async () => {
  await swtpm?.stop()
})

async function withTpm<T>(use: (tpm: TpmTransport) => Promise<T>): Promise<T> {
  const tpm = await openTpm({ kind: 'unix', path: swtpm?.socketPath ?? '' }, 10_000)
  try {
    return await use(tpm)
  } finally {
    await tpm.close()
  }
}

test('x', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  await withTpm(async (tpm) => {
    await startup(tpm)
    expect(await hasSha256Bank(tpm)).toBe(true)
    const ek = await createPrimary(tpm, endorsementKeyTemplate)
    const cert = await readNv(tpm, endorsementCertificateIndex)
    const x = new X509Certificate(cert ?? new Uint8Array(0))
    console.log(cert?.length, x.toString(), x.publicKey.export({ format: 'jwk' }).n)
    if (ek.public.kind === 'rsa') console.log(Buffer.from(ek.public.modulus).toString('base64url'))
    await flushContext(tpm, ek.handle)
    const ak = await createPrimary(tpm, attestationKeyTemplate)
    console.log(ak)
    const d = createHash('sha256').update('x').digest()
    await extendPcr(tpm, 14, d)
    console.log(await readPcrs(tpm, [0, 14]))
    console.log(await quotePcrs(tpm, ak, d, [0, 14]))
    await flushContext(tpm, ak.handle)
    expect(await readNv(tpm, 0x1c10000)).toBeUndefined()
  })
  await withTpm(async (tpm) => {
    await startup(tpm)
  })
})
