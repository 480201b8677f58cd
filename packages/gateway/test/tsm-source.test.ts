/** configfs-tsm against an emulator with the kernel's semantics, reports under test roots. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { appraiseTdx } from '@countersign/protocol/attestation/dcap/appraise-dcap'
import { appraiseSevSnp } from '@countersign/protocol/attestation/sev-snp/appraise-sev-snp'
import { dcapAsOfMs, dcapRoot, forgeDcap } from '../../../test/vectors/attestation/dcap-evidence.ts'
import { forgeSnp, snpAsOfMs, snpRoot } from '../../../test/vectors/attestation/snp-evidence.ts'
import { withCollateral } from '../src/enclave/collateral-folder.ts'
import { createTsmSource } from '../src/enclave/tsm/tsm-source.ts'
import { emulateTsm, type TsmPlan } from './support/emulate-tsm.ts'
import { expectTaken } from './support/expect-taken.ts'

const reports = '/tsm/report'
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-tsm-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

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

function snpReport(reportData: Uint8Array): Uint8Array {
  const report = (bytes: Uint8Array): void => {
    bytes.set(reportData, 0x50)
  }
  return forgeSnp({ report }).raw
}

function tdxReport(reportData: Uint8Array): Uint8Array {
  const body = (bytes: Uint8Array): void => {
    bytes.set(reportData, 520)
  }
  return forgeDcap('tdx', { body }).raw
}

function snpPlan(part: Partial<TsmPlan> = {}): TsmPlan {
  return { provider: 'sev_guest\n', report: snpReport, auxblob: snpTable, ...part }
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
  const files = emulateTsm({ provider: 'tdx_guest\n', report: tdxReport }, reports)
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
