/** Evidence of Intel TDX and AMD SEV-SNP through configfs-tsm of Linux 6.7 and later. */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { AttestationError } from '../attestation-error.ts'
import type { EvidenceSource } from '../evidence-source.ts'
import { parseCertificateTable } from './certificate-table.ts'

/** Where configfs-tsm is, and the privilege level of SEV-SNP where one is asked for. */
export type TsmOptions = { readonly folder: string; readonly privilegeLevel?: number }

/** What of a file system is needed: configfs is none that a test could have. */
export type TsmFiles = {
  makeFolder(path: string): Promise<void>
  removeFolder(path: string): Promise<void>
  read(path: string): Promise<Uint8Array>
  /** One open, one write, one close: the close is when the kernel takes the bytes, and its errors are lost. */
  write(path: string, bytes: Uint8Array): Promise<void>
}

type Report = {
  readonly provider: string
  readonly outblob: Uint8Array
  readonly auxblob: Uint8Array
}

/** The files of Linux. */
const linuxFiles: TsmFiles = {
  makeFolder: async (path) => {
    await mkdir(path)
  },
  removeFolder: (path) => rmdir(path),
  read: (path) => readFile(path),
  write: (path, bytes) => writeFile(path, bytes),
}

const maxAttempts = 8
const maxBlobBytes = 32_768
const transient: ReadonlySet<string> = new Set(['EBUSY', 'EAGAIN', 'EWOULDBLOCK', 'EEXIST'])
const kinds = new Map([
  ['tdx_guest', 'intel-tdx'],
  ['sev_guest', 'amd-sev-snp'],
] as const)

/**
 * The source of evidence of this machine; the kernel says which platform it is.
 *
 * @throws AttestationError `attester-unreachable` without configfs-tsm, `attester-refused` for another provider.
 */
export async function createTsmSource(
  { folder, privilegeLevel }: TsmOptions,
  files: TsmFiles = linuxFiles,
): Promise<EvidenceSource> {
  const ask = (reportData: Uint8Array): Promise<Report> =>
    readReport(files, folder, reportData, privilegeLevel)
  const { provider } = await ask(new Uint8Array(64))
  const kind = [...kinds].find(([name]) => name === provider)?.[1]
  if (kind === undefined) throw new AttestationError('attester-refused', 'provider is not known')
  return {
    kind,
    attest: async (reportData) => {
      const report = await ask(reportData)
      if (report.provider !== provider) {
        throw new AttestationError('attester-malformed', 'another provider')
      }
      return toEvidence(report)
    },
  }
}

function toEvidence({ provider, outblob, auxblob }: Report): PlatformEvidence {
  const collateral = provider === 'sev_guest' ? parseCertificateTable(auxblob) : new Map()
  return { raw: outblob, collateral }
}

/** Asks under a new name each time: a name that somebody else writes to would mix two reports. */
async function readReport(
  files: TsmFiles,
  folder: string,
  reportData: Uint8Array,
  privilegeLevel: number | undefined,
): Promise<Report> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const entry = join(folder, `countersign-${randomBytes(16).toString('hex')}`)
    try {
      await files.makeFolder(entry)
      try {
        const report = await readEntry(files, entry, reportData, privilegeLevel)
        if (report !== undefined) return report
      } finally {
        await files.removeFolder(entry)
      }
    } catch (cause) {
      if (!isTransient(cause)) throw unreachable(folder, cause)
    }
  }
  throw new AttestationError('attester-busy', folder)
}

/** `undefined` when the report may be another's: the kernel counts the writes, and it must have counted ours alone. */
async function readEntry(
  files: TsmFiles,
  entry: string,
  reportData: Uint8Array,
  privilegeLevel: number | undefined,
): Promise<Report | undefined> {
  const generation = async (): Promise<number> => Number(await readText(files, entry, 'generation'))
  const before = await generation()
  await files.write(join(entry, 'inblob'), reportData)
  if (privilegeLevel !== undefined) {
    await files.write(join(entry, 'privlevel'), Buffer.from(String(privilegeLevel)))
  }
  const provider = await readText(files, entry, 'provider')
  const outblob = await readBlob(files, entry, 'outblob')
  const auxblob = await readAuxiliary(files, entry)
  const writes = privilegeLevel === undefined ? 1 : 2
  return (await generation()) === before + writes ? { provider, outblob, auxblob } : undefined
}

async function readText(files: TsmFiles, entry: string, name: string): Promise<string> {
  return Buffer.from(await files.read(join(entry, name)))
    .toString('latin1')
    .trim()
}

async function readBlob(files: TsmFiles, entry: string, name: string): Promise<Uint8Array> {
  const blob = await files.read(join(entry, name))
  if (blob.length > maxBlobBytes)
    throw new AttestationError('attester-malformed', `size of ${name}`)
  return blob
}

/** Not every provider has one. */
async function readAuxiliary(files: TsmFiles, entry: string): Promise<Uint8Array> {
  try {
    return await readBlob(files, entry, 'auxblob')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return new Uint8Array(0)
    throw error
  }
}

function isTransient(error: unknown): boolean {
  return transient.has(codeOf(error))
}

function unreachable(folder: string, cause: unknown): AttestationError {
  if (cause instanceof AttestationError) return cause
  return new AttestationError('attester-unreachable', folder, { cause })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
