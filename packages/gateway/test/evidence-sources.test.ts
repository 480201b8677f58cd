/** Sources of evidence against emulators that speak their formats under test roots: no production pin takes these. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Appraiser, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { appraiseTdx } from '@countersign/protocol/attestation/dcap/appraise-dcap'
import { appraiseNitroEnclave } from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { appraiseSevSnp } from '@countersign/protocol/attestation/sev-snp/appraise-sev-snp'
import { appraiseConfidentialSpace } from '@countersign/protocol/attestation/token/confidential-space'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { workload } from '../../../test/vectors/attestation/cases/token-workload.ts'
import { dcapAsOfMs, dcapRoot, forgeDcap } from '../../../test/vectors/attestation/dcap-evidence.ts'
import {
  forgeEnclave,
  nitroTestRoot,
  nitroTimeMs,
} from '../../../test/vectors/attestation/forge-nitro.ts'
import { forgeSnp, snpAsOfMs, snpRoot } from '../../../test/vectors/attestation/snp-evidence.ts'
import { withCollateral } from '../src/enclave/collateral-folder.ts'
import { createConfidentialSpaceSource } from '../src/enclave/confidential-space-source.ts'
import { detectSource, findDstackSocket, tsmFolder } from '../src/enclave/detect-source.ts'
import { createDstackSource } from '../src/enclave/dstack-source.ts'
import { createNitroEnclaveSource } from '../src/enclave/nitro-enclave-source.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import { createTsmSource } from '../src/enclave/tsm/tsm-source.ts'
import { emulateTsm, type TsmPlan } from './support/emulate-tsm.ts'
import {
  serveText,
  type TextAnswer,
  type TextRequest,
  type TextService,
} from './support/serve-text.ts'

const timeoutMs = 5000
const reports = '/tsm/report'
let folder: string
let socketPath: string
let service: TextService | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-sources-'))
  socketPath = join(folder, 'source.sock')
})
afterEach(async () => {
  await service?.stop()
  service = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function serve(answer: Parameters<typeof serveText>[0]): Promise<void> {
  service = await serveText(answer, socketPath)
}

function ok(body: string | Uint8Array): TextAnswer {
  return { status: 200, headers: {}, body }
}

/** The evidence holds under the test root, says this, and falls with the vendor's roots alone. */
async function expectTaken(
  appraise: Appraiser,
  evidence: PlatformEvidence,
  asOfMs: number,
  root: string,
  bound: Uint8Array,
): Promise<void> {
  const { checks, claims, platform } = await appraise(evidence, { asOfMs, roots: new Set([root]) })
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(checks.find(({ id }) => id === 'signature')?.status).toBe('passed')
  expect(claims?.binding.values).toContainEqual(Uint8Array.from(bound))
  const roots = vendorRoots.get(platform) ?? []
  const produced = await appraise(evidence, { asOfMs, roots: new Set(roots) })
  const refusal = produced.checks.find(({ id }) => id === 'root')
  expect(refusal).toMatchObject({ status: 'failed', code: 'chain-root-untrusted' })
}

const { collateral: snpCollateral } = forgeSnp()
const guids = {
  ark: 'c0b406a4a803495297433fb6014cd0ae',
  ask: '4ab7b379bbac4fe4a02f05aef327c782',
  vek: '63da758de6644564adc5f4b93be8accd',
  crl: '92f81bc358114d3d97ffd19f88dc67ea',
} as const

/** The table that a host hands over: entries, a zero entry, then the certificates. */
function certificateTable(parts: readonly (readonly [guid: string, bytes: Uint8Array])[]): Buffer {
  const heads: Buffer[] = []
  let offset = (parts.length + 1) * 24
  for (const [guid, bytes] of parts) {
    const place = Buffer.alloc(8)
    place.writeUInt32LE(offset, 0)
    place.writeUInt32LE(bytes.length, 4)
    heads.push(Buffer.from(guid, 'hex'), place)
    offset += bytes.length
  }
  return Buffer.concat([...heads, Buffer.alloc(24), ...parts.map(([, bytes]) => bytes)])
}

const snpTable = certificateTable([
  ['00112233445566778899aabbccddeeff', Buffer.from('unknown')],
  ...Object.entries(guids).map(
    ([name, guid]) => [guid, snpCollateral.get(name) ?? Buffer.alloc(0)] as const,
  ),
])

function snpPlan(part: Partial<TsmPlan> = {}): TsmPlan {
  const report = (reportData: Uint8Array): Uint8Array =>
    forgeSnp({
      report: (bytes) => {
        bytes.set(reportData, 0x50)
      },
    }).raw
  return { provider: 'sev_guest\n', report, auxblob: snpTable, ...part }
}

test('configfs-tsm gives a SEV-SNP report with the certificates of its host', async () => {
  const files = emulateTsm(snpPlan(), reports)
  const source = await createTsmSource({ folder: reports }, files)
  expect(source.kind).toBe('amd-sev-snp')
  const reportData = randomBytes(64)
  const evidence = await source.attest(reportData)
  expect([...evidence.collateral.keys()].toSorted()).toEqual(['ark', 'ask', 'crl', 'vek'])
  await expectTaken(appraiseSevSnp, evidence, snpAsOfMs, snpRoot('Milan'), reportData)
  expect(files.entries.size).toBe(0)
})

test('configfs-tsm gives a TDX quote, and the folder of the operator what the machine has not', async () => {
  const { collateral } = forgeDcap('tdx')
  const report = (reportData: Uint8Array): Uint8Array =>
    forgeDcap('tdx', {
      body: (body) => {
        body.set(reportData, 520)
      },
    }).raw
  const files = emulateTsm({ provider: 'tdx_guest\n', report }, reports)
  const bare = await createTsmSource({ folder: reports }, files)
  expect(bare.kind).toBe('intel-tdx')
  for (const [name, bytes] of collateral) writeFileSync(join(folder, name), bytes)
  writeFileSync(join(folder, 'README.md'), 'no collateral')
  const reportData = randomBytes(64)
  const evidence = await withCollateral(bare, folder).attest(reportData)
  expect([...evidence.collateral.keys()].toSorted()).toEqual([...collateral.keys()].toSorted())
  await expectTaken(appraiseTdx, evidence, dcapAsOfMs, dcapRoot, reportData)
})

test('what the machine gives is not replaced by the folder, and the folder has its limits', async () => {
  const source = await createTsmSource({ folder: reports }, emulateTsm(snpPlan(), reports))
  writeFileSync(join(folder, 'ark'), 'another')
  const { collateral } = await withCollateral(source, folder).attest(randomBytes(64))
  expect(collateral.get('ark')).toEqual(snpCollateral.get('ark'))
  writeFileSync(join(folder, 'large'), Buffer.alloc(262_145))
  await expect(withCollateral(source, folder).attest(randomBytes(64))).rejects.toMatchObject({
    code: 'attester-malformed',
  })
  rmSync(join(folder, 'large'))
  for (let file = 0; file < 32; file++) writeFileSync(join(folder, `f${file}`), '')
  await expect(withCollateral(source, folder).attest(randomBytes(64))).rejects.toMatchObject({
    code: 'attester-malformed',
  })
  const nowhere = withCollateral(source, join(folder, 'nothing'))
  await expect(nowhere.attest(randomBytes(64))).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
})

test('configfs-tsm: a report that others may have written to is asked for again, under a new name', async () => {
  const plan = snpPlan({ foreignWrites: 2, errors: ['EBUSY', 'EAGAIN'] })
  const files = emulateTsm(plan, reports)
  const source = await createTsmSource({ folder: reports }, files)
  const reportData = randomBytes(64)
  const { raw } = await source.attest(reportData)
  expect(Buffer.from(raw.subarray(0x50, 0x90)).equals(reportData)).toBe(true)
  // One for the probe and one for the evidence, three more for the writers, one for the error inside an entry.
  expect(files.made).toBeGreaterThanOrEqual(4)
  expect(files.entries.size).toBe(0)
  plan.foreignWrites = 1000
  await expect(source.attest(reportData)).rejects.toMatchObject({ code: 'attester-busy' })
  expect(files.entries.size).toBe(0)
})

test('configfs-tsm: the privilege level is asked for and counted', async () => {
  const levels: string[] = []
  const plan = snpPlan()
  const report: TsmPlan['report'] = (reportData, level) => {
    levels.push(level)
    return plan.report(reportData, level)
  }
  const files = emulateTsm({ ...plan, report }, reports)
  const source = await createTsmSource({ folder: reports, privilegeLevel: 2 }, files)
  await source.attest(randomBytes(64))
  expect(levels).toEqual(['2', '2'])
})

test('configfs-tsm: refuses what is not there, not known, too large or a broken table', async () => {
  const open = (plan: TsmPlan): Promise<unknown> =>
    createTsmSource({ folder: reports }, emulateTsm(plan, reports))
  await expect(open(snpPlan({ provider: 'arm_cca_guest\n' }))).rejects.toMatchObject({
    code: 'attester-refused',
  })
  await expect(open(snpPlan({ errors: ['EPERM'] }))).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  await expect(open(snpPlan({ report: () => new Uint8Array(32_769) }))).rejects.toMatchObject({
    code: 'attester-malformed',
  })
  await expect(createTsmSource({ folder: join(folder, 'tsm') })).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  // An ordinary folder is no configfs: no attribute appears in it.
  mkdirSync(join(folder, 'plain'))
  await expect(createTsmSource({ folder: join(folder, 'plain') })).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  const tables: readonly (readonly [string, Uint8Array])[] = [
    ['no zero entry', snpTable.subarray(0, 24)],
    ['an entry cut short', snpTable.subarray(0, 30)],
    ['a certificate behind the end', snpTable.subarray(0, -1)],
    [
      'two of one name',
      certificateTable([
        [guids.vek, Buffer.of(1)],
        [guids.vek, Buffer.of(2)],
      ]),
    ],
    [
      '33 entries',
      certificateTable(Array.from({ length: 33 }, () => ['ff'.repeat(16), Buffer.of(1)])),
    ],
  ]
  for (const [name, auxblob] of tables) {
    const source = await createTsmSource(
      { folder: reports },
      emulateTsm(snpPlan({ auxblob }), reports),
    )
    await expect(source.attest(randomBytes(64)), name).rejects.toMatchObject({
      code: 'attester-malformed',
    })
  }
  const { auxblob: _, ...bare } = snpPlan()
  const without = await createTsmSource({ folder: reports }, emulateTsm(bare, reports))
  expect((await without.attest(randomBytes(64))).collateral.size).toBe(0)
})

test('configfs-tsm: a machine that becomes another one is refused', async () => {
  const plan = { ...snpPlan() }
  const source = await createTsmSource({ folder: reports }, emulateTsm(plan, reports))
  Object.assign(plan, { provider: 'tdx_guest\n' })
  await expect(source.attest(randomBytes(64))).rejects.toMatchObject({ code: 'attester-malformed' })
})

function dstackAnswer({ body }: TextRequest, part: object = {}): TextAnswer {
  const { report_data: asked = '' }: { report_data?: string } = JSON.parse(body)
  const { raw } = forgeDcap('tdx', {
    body: (bytes) => {
      bytes.set(Buffer.from(asked, 'hex'), 520)
    },
  })
  const answer = {
    quote: toHex(raw),
    event_log: '[]',
    report_data: asked,
    vm_config: '{}',
    ...part,
  }
  return ok(JSON.stringify(answer))
}

test('dstack gives a TDX quote and its log of events', async () => {
  await serve(dstackAnswer)
  const reportData = randomBytes(64)
  const { raw, collateral } = await createDstackSource(socketPath, timeoutMs).attest(reportData)
  expect(Buffer.from(collateral.get('dstack-log') ?? []).toString()).toBe('[]')
  const evidence = { raw, collateral: new Map([...forgeDcap('tdx').collateral, ...collateral]) }
  await expectTaken(appraiseTdx, evidence, dcapAsOfMs, dcapRoot, reportData)
  expect(service?.requests).toMatchObject([
    { method: 'POST', path: '/GetQuote', contentType: 'application/json' },
  ])
})

test('dstack: refuses answers for somebody else, and answers that are none', async () => {
  const parts: readonly object[] = [
    { report_data: 'ab'.repeat(64) },
    { quote: 'xyz' },
    { quote: '' },
    { quote: 1 },
    { event_log: [] },
  ]
  for (const part of parts) {
    await serve((request) => dstackAnswer(request, part))
    await expect(
      createDstackSource(socketPath, timeoutMs).attest(randomBytes(64)),
      JSON.stringify(part),
    ).rejects.toMatchObject({ code: 'attester-malformed' })
    await service?.stop()
  }
  await serve(ok('not JSON'))
  await expect(
    createDstackSource(socketPath, timeoutMs).attest(randomBytes(64)),
  ).rejects.toMatchObject({ code: 'attester-malformed' })
})

test('Confidential Space gives a token for the audience and the nonce', async () => {
  await serve(({ body }) => {
    const {
      audience,
      nonces,
      token_type: type,
    }: { audience: string; nonces: string[]; token_type: string } = JSON.parse(body)
    if (type !== 'OIDC' || nonces.length !== 1) return { status: 400, headers: {}, body: '' }
    return ok(workload('', '', { claims: { aud: audience, eat_nonce: nonces[0] } }).raw)
  })
  const reportData = randomBytes(64)
  const source = createConfidentialSpaceSource(socketPath, timeoutMs)
  const { raw } = await source.attest(reportData)
  const { collateral = new Map(), asOfMs, roots } = workload('', '')
  const { checks, claims } = await appraiseConfidentialSpace(
    { raw, collateral },
    { asOfMs, roots: new Set(roots) },
  )
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(claims?.binding).toEqual({ form: 'sha256', values: [sha256(reportData)] })
  expect(service?.requests[0]).toMatchObject({ path: '/v1/token' })
  expect(JSON.parse(service?.requests[0]?.body ?? '')).toMatchObject({
    nonces: [toBase64url(sha256(reportData))],
  })
})

test('a helper gives the document of a Nitro Enclave', async () => {
  await serve(({ body }) => {
    const { user_data: userData = '' }: { user_data?: string } = JSON.parse(body)
    const document = forgeEnclave({
      members: (members) =>
        members.map(([key, value]) => [
          key,
          key === 'user_data' ? Uint8Array.from(Buffer.from(userData, 'base64url')) : value,
        ]),
    })
    return ok(document)
  })
  const reportData = randomBytes(64)
  const evidence = await createNitroEnclaveSource(socketPath, timeoutMs).attest(reportData)
  await expectTaken(appraiseNitroEnclave, evidence, nitroTimeMs, nitroTestRoot, reportData)
})

test('sources behind sockets say what is wrong with the other side', async () => {
  const sources = [createDstackSource, createConfidentialSpaceSource, createNitroEnclaveSource]
  const rows: readonly (readonly [string, Parameters<typeof serveText>[0], string, number])[] = [
    ['an error', { status: 500, headers: {}, body: 'oops' }, 'attester-refused', timeoutMs],
    ['nothing', ok(''), 'attester-malformed', timeoutMs],
    ['too much', ok('a'.repeat(1_048_577)), 'attester-malformed', timeoutMs],
    ['silence', 'silent', 'attester-timeout', 50],
  ]
  for (const [name, answer, code, limitMs] of rows) {
    await serve(answer)
    for (const create of sources) {
      const asked = create(socketPath, limitMs).attest(randomBytes(64))
      await expect(asked, `${name} to ${create.name}`).rejects.toMatchObject({ code })
    }
    await service?.stop()
    service = undefined
  }
  for (const create of sources) {
    await expect(create(socketPath, timeoutMs).attest(randomBytes(64))).rejects.toMatchObject({
      code: 'attester-unreachable',
    })
  }
})

test('detects the one source of a machine, never a simulated one, and never chooses among several', () => {
  const having =
    (...paths: readonly string[]) =>
    (path: string): boolean =>
      paths.includes(path)
  const launcher = '/run/container_launcher/teeserver.sock'
  expect(detectSource(having(tsmFolder))).toEqual({ kind: 'tsm', folder: tsmFolder })
  expect(detectSource(having('/run/dstack.sock', '/var/run/dstack.sock'))).toEqual({
    kind: 'dstack',
    socketPath: '/var/run/dstack.sock',
  })
  expect(detectSource(having(launcher))).toEqual({
    kind: 'confidential-space',
    socketPath: launcher,
  })
  expect(() => detectSource(having())).toThrow('no-attester')
  expect(() => detectSource(having(tsmFolder, launcher))).toThrow('several-attesters')
  expect(() => findDstackSocket(having())).toThrow('no-attester')
})

test('opens what the configuration names', async () => {
  const digests = { build: randomBytes(32), configuration: randomBytes(32) }
  await serve(dstackAnswer)
  const common = { timeoutMs, socketPath }
  const kinds = await Promise.all([
    openAttester({ kind: 'simulated' }, digests),
    openAttester({ kind: 'dstack', ...common }, digests),
    openAttester({ kind: 'confidential-space', ...common, collateralDir: folder }, digests),
    openAttester({ kind: 'nitro-enclave', ...common }, digests),
  ])
  expect(kinds.map(({ kind }) => kind)).toEqual([
    'simulated',
    'intel-tdx',
    'google-confidential-space',
    'aws-nitro',
  ])
  await expect(openAttester({ kind: 'tsm', timeoutMs, folder }, digests)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  await expect(openAttester({ kind: 'auto', timeoutMs }, digests)).rejects.toMatchObject({
    family: 'code',
  })
})
