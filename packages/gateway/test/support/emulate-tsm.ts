/** configfs-tsm as the kernel has it, but in memory: entries, attributes, and the count of writes. */
import { basename, dirname } from 'node:path'
import type { TsmFiles } from '../../src/enclave/tsm/tsm-source.ts'

/** What the machine is, and what goes wrong. */
export interface TsmPlan {
  /** Text of `provider`, with the line end that the kernel writes. */
  readonly provider: string
  /** The report for `inblob`. */
  report(reportData: Uint8Array, privilegeLevel: string): Uint8Array
  /** `auxblob`; there is no such file when absent. */
  readonly auxblob?: Uint8Array
  /** Error codes that the next operations on files end with, one after the other. */
  readonly errors?: string[]
  /** How many of the next reports somebody else writes to. */
  foreignWrites?: number
}

/** The emulator, and what is left of it. */
export interface EmulatedTsm extends TsmFiles {
  readonly entries: ReadonlySet<string>
  /** Entries that were ever made. */
  readonly made: number
}

type Entry = { generation: number; inblob: Uint8Array | undefined; privilegeLevel: string }

/** Starts with no entry. */
export function emulateTsm(plan: TsmPlan, folder: string): EmulatedTsm {
  const entries = new Map<string, Entry>()
  let made = 0
  const entryOf = (path: string): Entry => entries.get(path) ?? fail('ENOENT')
  const meetError = (): void => {
    const code = plan.errors?.shift()
    if (code !== undefined) fail(code)
  }
  const readBlob = (entry: Entry, read: (inblob: Uint8Array) => Uint8Array): Uint8Array => {
    if (entry.inblob === undefined) return fail('EINVAL')
    return read(entry.inblob)
  }
  return {
    get entries() {
      return new Set(entries.keys())
    },
    get made() {
      return made
    },
    makeFolder: async (path) => {
      meetError()
      if (dirname(path) !== folder) fail('ENOENT')
      if (entries.has(path)) fail('EEXIST')
      entries.set(path, { generation: 0, inblob: undefined, privilegeLevel: '' })
      made += 1
    },
    removeFolder: async (path) => {
      if (!entries.delete(path)) fail('ENOENT')
    },
    write: async (path, bytes) => {
      meetError()
      const entry = entryOf(dirname(path))
      const name = basename(path)
      if (name === 'inblob' && bytes.length <= 64) entry.inblob = bytes.slice()
      else if (name === 'privlevel') entry.privilegeLevel = Buffer.from(bytes).toString()
      else fail('EINVAL')
      entry.generation += 1
    },
    read: async (path) => {
      meetError()
      const entry = entryOf(dirname(path))
      switch (basename(path)) {
        case 'generation':
          return Buffer.from(`${entry.generation}\n`)
        case 'provider':
          return Buffer.from(plan.provider)
        case 'outblob':
          return readBlob(entry, (inblob) => {
            if ((plan.foreignWrites ?? 0) > 0) {
              plan.foreignWrites = (plan.foreignWrites ?? 0) - 1
              entry.generation += 1
            }
            return plan.report(inblob, entry.privilegeLevel)
          })
        case 'auxblob':
          return readBlob(entry, () => plan.auxblob ?? fail('ENOENT'))
        default:
          return fail('ENOENT')
      }
    },
  }
}

function fail(code: string): never {
  throw Object.assign(new Error(code), { code })
}
