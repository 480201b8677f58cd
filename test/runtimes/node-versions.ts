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

/** Calls a function of a bundle on a Node, with the texts of these files. */
export function runOnNode(
  program: string,
  job: { readonly bundle: URL; readonly call: string; readonly inputs: readonly URL[] },
): RuntimeReport {
  const script = `
    import { readFileSync } from 'node:fs'
    import { ${job.call} } from ${JSON.stringify(job.bundle.href)}
    const inputs = ${JSON.stringify(job.inputs.map(({ href }) => href))}
    const texts = inputs.map((url) => readFileSync(new URL(url), 'utf8'))
    process.stdout.write(JSON.stringify(await ${job.call}(...texts)))
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
