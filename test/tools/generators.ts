/** Everything in the repository that a program wrote, and the comparison of it with what the program writes now. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { generateContracts } from '../../packages/contracts/src/generate.ts'
import { createConfigJsonSchema } from '../../packages/gateway/src/config/schema.ts'
import { createFacilitatorJsonSchema } from '../../packages/gateway/src/facilitator/facilitator-config.ts'
import { generateEvidenceVectors } from '../vectors/attestation/generate.ts'
import { generateVectors } from '../vectors/generate.ts'
import { generateAdapterDigest } from './adapter-digest.ts'
import { encodeMaterials, listMaterials } from './enclave/bill-of-materials.ts'
import { bundleGateway } from './enclave/bundle-gateway.ts'
import { readSourceTree, repositoryRoot } from './source-tree.ts'

/** One program that writes files. */
export interface Generator {
  readonly name: string
  /** The text of each file by its path from the root; the same every time. */
  readonly run: () => Promise<ReadonlyMap<string, string>>
}

/** All of them. */
export const generators: readonly Generator[] = [
  {
    name: 'contracts',
    run: () => {
      const files = [...generateContracts()]
      return Promise.resolve(
        new Map(files.map(([path, text]) => [`packages/contracts/${path}`, text])),
      )
    },
  },
  {
    name: 'configuration schema',
    run: () => {
      const text = `${JSON.stringify(createConfigJsonSchema(), undefined, 2)}\n`
      return Promise.resolve(new Map([['docs/countersign.config.schema.json', text]]))
    },
  },
  {
    name: 'facilitator schema',
    run: () => {
      const text = `${JSON.stringify(createFacilitatorJsonSchema(), undefined, 2)}\n`
      return Promise.resolve(new Map([['docs/countersign.facilitator.schema.json', text]]))
    },
  },
  { name: 'adapter digest', run: generateAdapterDigest },
  {
    name: 'bill of materials',
    run: async () => {
      const materials = listMaterials(repositoryRoot, await bundleGateway(repositoryRoot))
      return new Map([['packages/gateway/bill-of-materials.json', encodeMaterials(materials)]])
    },
  },
  { name: 'vectors', run: generateVectors },
  { name: 'vectors of evidence', run: generateEvidenceVectors },
]

/** Files larger than this in a `generated` folder are no longer read by anybody. */
const maxGeneratedBytes = 100_000

/** Writes the files under `root`. @returns the paths whose text changed. */
export function writeGenerated(
  root: string,
  files: ReadonlyMap<string, string>,
): readonly string[] {
  const changed = findDifferences(root, files).map(({ path }) => path)
  for (const path of changed) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), files.get(path) ?? '')
  }
  return changed
}

/** What under `root` is not as a fresh generation writes it, file by file. */
export function judgeGenerated(
  root: string,
  files: ReadonlyMap<string, string>,
): readonly string[] {
  const problems = findDifferences(root, files).map(({ path, problem }) => `${path} ${problem}`)
  if (files.size === 0) problems.push('nothing was generated')
  for (const [path, text] of files) {
    const sizeBytes = Buffer.byteLength(text)
    if (path.includes('/generated/') && sizeBytes > maxGeneratedBytes) {
      problems.push(`${path} is ${String(sizeBytes)} bytes long`)
    }
  }
  return problems
}

/** Committed files that look generated and that no generator writes any more. */
export function findOrphans(root: string, generated: ReadonlySet<string>): readonly string[] {
  return readSourceTree(root).files.filter(
    (path) =>
      /\/generated\/|^vectors\/.+\.json$|\.schema\.json$/.test(path) && !generated.has(path),
  )
}

function findDifferences(
  root: string,
  files: ReadonlyMap<string, string>,
): readonly { readonly path: string; readonly problem: string }[] {
  return [...files].flatMap(([path, text]) => {
    const absolute = join(root, path)
    if (!existsSync(absolute)) return [{ path, problem: 'is missing' }]
    return readFileSync(absolute, 'utf8') === text
      ? []
      : [{ path, problem: 'differs from a fresh generation' }]
  })
}
