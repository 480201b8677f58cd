/**
 * Evidence of Azure confidential machines: a real TPM in software with the report and the key that a paravisor leaves
 * there, the metadata service emulated, hardware under test roots. No production pin takes any of it.
 */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Appraiser } from '@countersign/protocol/attestation/appraisal'
import {
  appraiseAzureSnp,
  appraiseAzureTdx,
} from '@countersign/protocol/attestation/azure/appraise-azure'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { toPem } from '../../../test/vectors/attestation/certificate.ts'
import { dcapAsOfMs, dcapRoot, forgeDcap } from '../../../test/vectors/attestation/dcap-evidence.ts'
import { forgeSnp, snpAsOfMs, snpRoot } from '../../../test/vectors/attestation/snp-evidence.ts'
import { createAzureSource, type AzureOptions } from '../src/enclave/azure/azure-source.ts'
import { hclReportIndex, parseHclReport } from '../src/enclave/azure/hcl-report.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import { createPrimary } from '../src/enclave/tpm/tpm-client.ts'
import { runTpmCommand } from '../src/enclave/tpm/tpm-command.ts'
import { sized, u16, u32 } from '../src/enclave/tpm/tpm-bytes.ts'
import { undefineNv } from '../src/enclave/tpm/tpm-nv.ts'
import { withTpm } from '../src/enclave/tpm/tpm-session.ts'
import type { TpmAddress } from '../src/enclave/tpm/tpm-transport.ts'
import { expectTaken } from './support/expect-taken.ts'
import {
  serveText,
  type TextAnswer,
  type TextRequest,
  type TextService,
} from './support/serve-text.ts'
import { startSwtpm, swtpmMissing, type RunningSwtpm } from './support/start-swtpm.ts'
import { writeNv } from './support/write-nv.ts'

const timeoutMs = 60_000
const akHandle = 0x81000003
const owner = 0x40000001
const digests = { build: sha256('build'), configuration: sha256('configuration') }
let swtpm: RunningSwtpm | undefined
let service: TextService | undefined
let modulus: Uint8Array = new Uint8Array(0)

beforeAll(async () => {
  if (swtpmMissing !== undefined) return
  swtpm = await startSwtpm()
  modulus = await makeAk(swtpm)
})
afterEach(async () => {
  await service?.stop()
  service = undefined
})
afterAll(async () => {
  await swtpm?.stop()
})

function sha256(text: string | Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(text).digest())
}

function addressOf({ socketPath }: RunningSwtpm): TpmAddress {
  return { kind: 'unix', path: socketPath }
}

/** The key that the paravisor keeps: RSA, restricted, RSASSA with SHA-256. */
function makeAk(running: RunningSwtpm): Promise<Uint8Array> {
  const template = Buffer.concat([
    Buffer.concat([u16(1), u16(0x0b), u32(0x00050072), sized()]),
    Buffer.concat([u16(0x10), u16(0x14), u16(0x0b)]),
    Buffer.concat([u16(2048), u32(0), sized(Buffer.alloc(256))]),
  ])
  return withTpm(addressOf(running), timeoutMs, async (tpm) => {
    const key = await createPrimary(tpm, template)
    await runTpmCommand(tpm, {
      name: 'EvictControl',
      handles: [owner, key.handle],
      authorizations: [{ kind: 'password' }],
      parameters: u32(akHandle),
      answersHandle: false,
    })
    return key.public.key.bytes
  })
}

function statement(): Uint8Array {
  const key = { kid: 'HCLAkPub', key_ops: ['sign'], kty: 'RSA', e: 'AQAB', n: toBase64url(modulus) }
  const configuration = { 'console-enabled': false, 'secure-boot': true }
  return Buffer.from(JSON.stringify({ keys: [key], 'vm-configuration': configuration }))
}

function le(value: number): Buffer {
  return Buffer.from(u32(value).toReversed())
}

/** The report of the paravisor: header, report of the hardware, statement, and room behind it. */
function encodeHcl(type: number, report: Uint8Array, data: Uint8Array): Buffer {
  const header = Buffer.concat([
    Buffer.from('HCLA'),
    le(2),
    le(report.length),
    le(2),
    Buffer.alloc(16),
  ])
  const area = Buffer.alloc(1184)
  area.set(report)
  const head = [data.length + 20, 1, type, 1, data.length].map(le)
  return Buffer.concat([header, area, ...head, data, Buffer.alloc(24)])
}

async function store(running: RunningSwtpm, bytes: Uint8Array): Promise<void> {
  await withTpm(addressOf(running), timeoutMs, async (tpm) => {
    await undefineNv(tpm, hclReportIndex).catch(() => undefined)
    await writeNv(tpm, hclReportIndex, bytes)
  })
}

function reportDataOf(data: Uint8Array): Uint8Array {
  return Buffer.concat([sha256(data), Buffer.alloc(32)])
}

function snpMachine(): ReturnType<typeof forgeSnp> {
  return forgeSnp({ report: (report) => report.set(reportDataOf(statement()), 0x50) })
}

async function serve(answer: (request: TextRequest) => TextAnswer): Promise<TextService> {
  service = await serveText(answer)
  return service
}

function certificates(part: object = {}): TextAnswer {
  const { collateral } = snpMachine()
  const pem = (...names: readonly string[]): string =>
    Buffer.from(toPem(names.map((name) => collateral.get(name) ?? new Uint8Array(0)))).toString()
  const answer = { vcekCert: pem('vek'), certificateChain: pem('ask', 'ark'), tcbm: '', ...part }
  return { status: 200, headers: {}, body: JSON.stringify(answer) }
}

function optionsOf(running: RunningSwtpm, metadataUrl: string): AzureOptions {
  return {
    address: addressOf(running),
    timeoutMs,
    pcrs: [0, 4, 7],
    applicationPcr: 14,
    events: [],
    metadataUrl,
  }
}

async function expectBound(
  appraise: Appraiser,
  evidence: Parameters<Appraiser>[0],
  asOfMs: number,
  root: string,
  reportData: Uint8Array,
): Promise<void> {
  await expectTaken(appraise, evidence, asOfMs, root, sha256(reportData))
}

test('a machine on SEV-SNP: what the hardware vouches for quotes what booted, and the gateway', async ({
  skip,
}) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const { raw, collateral } = snpMachine()
  await store(swtpm, encodeHcl(2, raw, statement()))
  const { url, requests } = await serve(() => certificates())
  const attester = await openAttester(
    {
      kind: 'azure',
      tpm: addressOf(swtpm),
      timeoutMs,
      pcrs: [0, 4, 7],
      applicationPcr: 14,
      metadataUrl: url,
    },
    digests,
  )
  expect(attester.kind).toBe('amd-sev-snp-azure')
  const source = await createAzureSource({
    ...optionsOf(swtpm, url),
    events: [
      { name: 'countersign/build', digest: digests.build },
      { name: 'countersign/configuration', digest: digests.configuration },
    ],
  })
  for (const reportData of [randomBytes(64), randomBytes(64)]) {
    const evidence = await source.attest(reportData)
    expect([...evidence.collateral.keys()]).toEqual(['vek', 'ask', 'ark', 'tpm-measured-log'])
    const whole = {
      raw: evidence.raw,
      collateral: new Map([...collateral, ...evidence.collateral]),
    }
    await expectBound(appraiseAzureSnp, whole, snpAsOfMs, snpRoot('Milan'), reportData)
  }
  // The certificates of one firmware of one chip are asked for once.
  expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /metadata/THIM/amd/certification',
  ])
})

test('a machine on TDX: the host’s service makes a quote of the report', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const tdReport = randomBytes(1024)
  await store(swtpm, encodeHcl(4, tdReport, statement()))
  const machine = forgeDcap('tdx', { body: (body) => body.set(reportDataOf(statement()), 520) })
  const { url, requests } = await serve(() => ({
    status: 200,
    headers: {},
    body: JSON.stringify({
      quote: `${toBase64url(machine.raw)}==`.slice(0, Math.ceil(machine.raw.length / 3) * 4),
    }),
  }))
  const measured = [
    { name: 'countersign/build', digest: digests.build },
    { name: 'countersign/configuration', digest: digests.configuration },
  ]
  const source = await createAzureSource({ ...optionsOf(swtpm, url), events: measured })
  expect(source.kind).toBe('intel-tdx-azure')
  const reportData = randomBytes(64)
  const { raw, collateral } = await source.attest(reportData)
  const whole = { raw, collateral: new Map([...machine.collateral, ...collateral]) }
  await expectBound(appraiseAzureTdx, whole, dcapAsOfMs, dcapRoot, reportData)
  expect(requests).toMatchObject([{ method: 'POST', path: '/acc/tdquote' }])
  expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ report: toBase64url(tdReport) })
  await store(swtpm, encodeHcl(2, snpMachine().raw, statement()))
  await expect(source.attest(reportData)).rejects.toMatchObject({ code: 'attester-malformed' })
})

test('a machine without a paravisor, and answers that are none, are refused', async ({ skip }) => {
  if (swtpm === undefined) return skip(swtpmMissing)
  const running = swtpm
  await withTpm(addressOf(running), timeoutMs, (tpm) => undefineNv(tpm, hclReportIndex))
  const { url } = await serve(() => certificates())
  await expect(createAzureSource(optionsOf(running, url))).rejects.toThrow(
    /no confidential machine/,
  )
  await store(running, encodeHcl(2, snpMachine().raw, statement()))
  const answers: readonly (readonly [string, TextAnswer, string])[] = [
    ['no JSON', { status: 200, headers: {}, body: 'none' }, 'attester-malformed'],
    ['no certificate', certificates({ vcekCert: 1 }), 'attester-malformed'],
    ['a certificate that is none', certificates({ vcekCert: 'PEM' }), 'attester-malformed'],
    [
      'no chain',
      certificates({ certificateChain: certificatesOf('vcekCert') }),
      'attester-malformed',
    ],
    ['a refusal', { status: 404, headers: {}, body: '' }, 'attester-refused'],
  ]
  const events = [
    { name: 'countersign/build', digest: digests.build },
    { name: 'countersign/configuration', digest: digests.configuration },
  ]
  for (const [name, answer, code] of answers) {
    await service?.stop()
    const again = await serve(() => answer)
    const source = await createAzureSource({ ...optionsOf(running, again.url), events })
    await expect(source.attest(randomBytes(64)), name).rejects.toMatchObject({ code })
  }
})

function certificatesOf(name: string): unknown {
  const answer: Record<string, unknown> = JSON.parse(String(certificates().body))
  return answer[name]
}

test('reports of a paravisor that are none are refused', () => {
  const data = Buffer.from('{}')
  const good = encodeHcl(2, Buffer.alloc(1184, 7), data)
  expect(parseHclReport(good)).toMatchObject({
    hardware: 'amd-sev-snp',
    runtimeData: Uint8Array.from(data),
  })
  expect(parseHclReport(encodeHcl(4, Buffer.alloc(1024, 7), data)).report).toHaveLength(1024)
  const turned = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good)
    bytes[at] = value
    return bytes
  }
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ['another mark', turned(0, 0x41)],
    ['another kind', turned(1216 + 8, 3)],
    ['another hash', turned(1216 + 12, 2)],
    ['no statement', turned(1216 + 16, 0)],
    ['a statement beyond the end', turned(1216 + 17, 1)],
    ['cut short', good.subarray(0, 1235)],
  ]
  for (const [name, bytes] of wrong) {
    expect(() => parseHclReport(bytes), name).toThrow(/attester-malformed/)
  }
})
