/** The Nodes of this machine: this one, those of `test/runtimes/node_modules`, and the one on the path. */
import { spawnSync } from 'node:child_process'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RuntimeReport } from './judge-vectors.ts'

const wanted = [20, 22, 24, 26] as const

/** A major version and a program of it; without a program it is not installed. */
export type NodeVersion = { readonly major: number; readonly program: string | undefined }

/** Every version that the vectors must run on. */
export function findNodes(): readonly NodeVersion[] {
  const installed = wanted.map((major) =>
    fileURLToPath(new URL(`node_modules/node-${major}/bin/node`, import.meta.url)),
  )
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => `${folder}/node`)
  const programs = new Map<number, string>()
  for (const program of [process.execPath, ...installed, ...onPath]) {
    const major = majorOf(program)
    if (major !== undefined && !programs.has(major)) programs.set(major, program)
  }
  return wanted.map((major) => ({ major, program: programs.get(major) }))
}

/** Runs a bundle of `judge-vectors.ts` on a Node. The paths are those of the bundle and of the two files. */
export function runOnNode(
  program: string,
  paths: { readonly bundle: URL; readonly cbor: URL; readonly bundles: URL },
): RuntimeReport {
  const script = `
    import { readFileSync } from 'node:fs'
    import { judgeVectors } from ${JSON.stringify(paths.bundle.href)}
    const [cbor, bundles] = ${JSON.stringify([paths.cbor.href, paths.bundles.href])}
    const read = (url) => readFileSync(new URL(url), 'utf8')
    process.stdout.write(JSON.stringify(await judgeVectors(read(cbor), read(bundles))))
  `
  const { status, stdout, stderr } = spawnSync(program, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: {},
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new Error(`${program} ended with ${String(status)}: ${stderr}`)
  const report: RuntimeReport = JSON.parse(stdout)
  return report
}

function majorOf(program: string): number | undefined {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', env: {} })
  if (status !== 0) return undefined
  return Number(/^v(\d+)\./.exec(stdout)?.[1])
}
