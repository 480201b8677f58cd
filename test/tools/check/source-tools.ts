/**
 * The checkers of the source text. Each one succeeds on nothing at all when it is pointed at the wrong place, so each
 * one must also prove what it looked at.
 */
import { isAbsolute, relative, sep } from 'node:path'
import { readSourceTree } from '../source-tree.ts'
import { readScript, runTool, runToolOrThrow } from './tool.ts'

/** Type-checks every project from scratch. @returns how much. @throws Error on a fault or a file left out. */
export function checkTypes(root: string): string {
  const command = [...readScript(root, 'types'), '--force', '--listFiles']
  const { exitCode, output } = runTool(root, command)
  const seen = new Set(output.split('\n').map((line) => relative(root, line).split(sep).join('/')))
  if (exitCode !== 0) {
    const faults = output.split('\n').filter((line) => !isAbsolute(line))
    throw new Error(faults.join('\n').trim())
  }
  const sources = listTypeScript(root)
  const missed = sources.filter((path) => !seen.has(path))
  if (missed.length > 0) throw new Error(`in no TypeScript project:\n${missed.join('\n')}`)
  return `${String(sources.length)} files`
}

/** Lints, with types. @returns how much. @throws Error on a fault or a file left out. */
export function checkLint(root: string): string {
  const output = runToolOrThrow(root, readScript(root, 'lint'))
  return assertFileCount(root, output, /\bon (\d+) files?\b/)
}

/** Checks the format. @returns how much. @throws Error on a fault or a file left out. */
export function checkFormat(root: string): string {
  const output = runToolOrThrow(root, readScript(root, 'format:check'))
  return assertFileCount(root, output, /\bon (\d+) files?\b/)
}

/**
 * Looks for unused files, exports and dependencies.
 *
 * @throws Error on a fault. Patterns that match nothing are faults too: that is how knip sees that it saw nothing.
 */
export function checkUnused(root: string): string {
  const command = readScript(root, 'unused')
  if (!command.includes('--treat-config-hints-as-errors')) {
    throw new Error('the script unused lets patterns match nothing')
  }
  runToolOrThrow(root, command)
  return 'files, exports and dependencies'
}

function assertFileCount(root: string, output: string, pattern: RegExp): string {
  const count = Number(pattern.exec(output)?.[1] ?? 0)
  // Generated files are nobody's to format.
  const sources = listTypeScript(root).filter((path) => !path.includes('/generated/'))
  if (count >= sources.length && sources.length > 0) return `${String(count)} files`
  throw new Error(
    `looked at ${String(count)} files of ${String(sources.length)} that there are:\n${output.trim()}`,
  )
}

function listTypeScript(root: string): readonly string[] {
  return readSourceTree(root).files.filter((path) => path.endsWith('.ts'))
}
