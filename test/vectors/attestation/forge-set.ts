/** Pieces of evidence of several vendors under test roots, for one report data, and policies about them. */
import { createHash } from 'node:crypto'
import type { Platform, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { seededBytes } from '../signers.ts'
import { forgeAzureSnp, type AzureEdit } from './forge-azure.ts'
import { digest, forgeEnclave, forgeTpm, nitroTestRoot, nitroTimeMs } from './forge-nitro.ts'
import { forgeTpmCollateral, forgeTpmEvidence, tpmPins, type TpmEdit } from './forge-tpm.ts'
import { forgeSnp, snpRoot, type SnpEdits } from './snp-evidence.ts'

/** When the pieces are judged. */
export const setTimeMs: number = nitroTimeMs

/** What they are bound to, if nothing else is said. */
export const setReportData: Uint8Array = concatBytes(seededBytes('set/1'), seededBytes('set/2'))

/** A piece, as a set takes it. */
export type Piece = readonly [Platform, PlatformEvidence]

/** What a policy asks of one platform. */
export type AskedPlatform = { readonly platform: Platform; readonly [name: string]: unknown }

const dayMs = 86_400_000
const list = { thisUpdateMs: setTimeMs - dayMs, nextUpdateMs: setTimeMs + dayMs }
const boot = Object.fromEntries(
  [0, 4, 7].map((pcr) => [`pcr${pcr}`, sha256(Buffer.from(`pcr ${pcr}`))]),
)
const measured = { selection: '914000', ...boot, 'countersign/build': sha256(Buffer.from('build')) }
const snpMeasurement = `${toHex(seededBytes('snp measurement'))}${'00'.repeat(16)}`
const firmware = { Milan: { microcode: 219 } }

/** AMD. */
export function snpPiece(edits: SnpEdits = {}, reportData = setReportData): Piece {
  const report = (bytes: Uint8Array): void => {
    bytes.set(reportData, 0x50)
    edits.report?.(bytes)
  }
  return ['amd-sev-snp', forgeSnp({ ...edits, list: { ...list, ...edits.list }, report })]
}

/** AMD and Microsoft. */
export function azurePiece(edit: AzureEdit = {}, reportData = setReportData): Piece {
  const extraData = Uint8Array.from(createHash('sha256').update(reportData).digest())
  const quote = { ...edit.quote, attest: () => ({ extraData }) }
  return ['amd-sev-snp-azure', forgeAzureSnp({ ...edit, snp: { ...edit.snp, list }, quote })]
}

/** AWS: an enclave. */
export function enclavePiece(reportData = setReportData): Piece {
  return ['aws-nitro', documentOf(forgeEnclave, reportData)]
}

/** AWS: NitroTPM. */
export function nitroTpmPiece(reportData = setReportData): Piece {
  return ['aws-nitrotpm', documentOf(forgeTpm, reportData)]
}

/** A TPM of an unknown maker. */
export function tpmPiece(edit: TpmEdit = {}, reportData = setReportData): Piece {
  const extraData = Uint8Array.from(createHash('sha256').update(reportData).digest())
  const raw = forgeTpmEvidence({ ...edit, attest: () => ({ extraData }) })
  return ['tpm', { raw, collateral: forgeTpmCollateral() }]
}

/** What good pieces are, by platform. */
export const askedOf = {
  snp: {
    platform: 'amd-sev-snp',
    require: [],
    roots: { vendor: false, simulated: [snpRoot('Milan')] },
    measurements: [{ measurement: snpMeasurement }],
    minVersions: firmware,
  },
  azure: {
    platform: 'amd-sev-snp-azure',
    require: [],
    roots: { vendor: false, simulated: [snpRoot('Milan')] },
    measurements: [{ measurement: snpMeasurement, ...measured }],
    minVersions: firmware,
  },
  enclave: {
    platform: 'aws-nitro',
    require: [],
    roots: { vendor: false, simulated: [nitroTestRoot] },
    measurements: [{ pcr0: toHex(digest('enclave 0')) }],
  },
  nitroTpm: {
    platform: 'aws-nitrotpm',
    require: [],
    roots: { vendor: false, simulated: [nitroTestRoot] },
    measurements: [{ pcr4: toHex(digest('tpm 4')), pcr7: toHex(digest('tpm 7')) }],
  },
  tpm: {
    platform: 'tpm',
    require: [],
    roots: { vendor: false, simulated: [tpmPins[0]], service: [tpmPins[1]] },
    measurements: [measured],
  },
} as const satisfies Readonly<Record<string, AskedPlatform>>

/** The text of a policy about these. */
export function setPolicy(
  minVendors: number,
  asked: readonly AskedPlatform[],
  change: object = {},
): string {
  return JSON.stringify({
    evidencePolicy: 1,
    name: 'several vendors',
    platforms: asked,
    maxAgeMs: null,
    maxClockSkewMs: 0,
    machines: 'any',
    minVendors,
    ...change,
  })
}

function documentOf(forge: typeof forgeEnclave, reportData: Uint8Array): PlatformEvidence {
  const raw = forge({
    members: (all) =>
      all.map(([key, value]) => [key, key === 'user_data' ? reportData : value] as const),
  })
  return { raw, collateral: new Map() }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
