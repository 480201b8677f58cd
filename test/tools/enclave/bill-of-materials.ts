/** The list of what is in the measured build: whose code runs in the enclave (spec/build.md BD3). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EnclaveBuild } from './bundle-gateway.ts'

/** One package of somebody else. */
export interface MaterialPackage {
  readonly name: string
  readonly version: string
  readonly license: string
  /** How many of its modules are in the bundle. */
  readonly modules: number
}

/** Everything in a bundle. */
export interface BillOfMaterials {
  readonly packages: readonly MaterialPackage[]
  /** Files of this repository. */
  readonly modules: readonly string[]
}

/** Reads names and versions of the packages that stand in `root`. */
export function listMaterials(root: string, { modules }: EnclaveBuild): BillOfMaterials {
  const counts = new Map<string, number>()
  for (const module of modules) {
    const folder = packageFolderOf(module)
    if (folder !== undefined) counts.set(folder, (counts.get(folder) ?? 0) + 1)
  }
  return {
    packages: Array.from(counts, ([folder, count]) => readPackage(root, folder, count)),
    modules: modules.filter((module) => packageFolderOf(module) === undefined),
  }
}

/** The text of the committed file. */
export function encodeMaterials(materials: BillOfMaterials): string {
  return `${JSON.stringify(materials, undefined, 2)}\n`
}

/** `node_modules/viem` or `node_modules/a/node_modules/@b/c` for a module in it. */
export function packageFolderOf(module: string): string | undefined {
  const inPackage = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/
  return inPackage.exec(module)?.[0]
}

function readPackage(root: string, folder: string, modules: number): MaterialPackage {
  const json: unknown = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  return {
    name: textMember(json, 'name', folder),
    version: textMember(json, 'version', folder),
    license: textMember(json, 'license', folder),
    modules,
  }
}

function textMember(json: unknown, name: string, folder: string): string {
  const members = new Map(Object.entries(json ?? {}))
  const value: unknown = members.get(name)
  if (typeof value !== 'string') throw new Error(`${folder} has no ${name}`)
  return value
}
