/** Runs a tool of the chain and hands over what it said. */
import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { objectAt, readJsonObject, textAt } from '../json-value.ts'

/** What a tool did. */
export interface ToolResult {
  readonly exitCode: number
  /** Standard output, then standard error. */
  readonly output: string
}

/**
 * Runs `command` in `root` with the tools and the Node of `node_modules/.bin`.
 *
 * @throws Error when it cannot be started or a signal ended it.
 */
export function runTool(root: string, command: readonly string[]): ToolResult {
  const [file, ...args] = command
  if (file === undefined) throw new Error('there is no command to run')
  const result = spawnSync(file, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    env: toolEnvironment(root),
  })
  if (result.error !== undefined) {
    throw new Error(`${file} could not be run: ${result.error.message}`, { cause: result.error })
  }
  if (result.status === null) throw new Error(`${file} was ended by ${String(result.signal)}`)
  return { exitCode: result.status, output: `${result.stdout}${result.stderr}` }
}

/** In CI, tools print other formats, and colours in spite of NO_COLOR; what they say is read here. */
const presentation = new Set(['CI', 'GITHUB_ACTIONS', 'FORCE_COLOR', 'CLICOLOR_FORCE'])

function toolEnvironment(root: string): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !presentation.has(name))
  const path = `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`
  return { ...Object.fromEntries(kept), PATH: path, NO_COLOR: '1' }
}

/** Like `runTool`, for a tool that must succeed. @throws Error with its output when it does not. */
export function runToolOrThrow(root: string, command: readonly string[]): string {
  const { exitCode, output } = runTool(root, command)
  if (exitCode === 0) return output
  throw new Error(`${command.join(' ')} (exit code ${String(exitCode)})\n${output.trim()}`)
}

/** The words of a script of the root's manifest, so that `npm run lint` and the check do the same. */
export function readScript(root: string, name: string): readonly string[] {
  const scripts = objectAt(readJsonObject(join(root, 'package.json')), 'scripts')
  const script = textAt(scripts, name)
  if (script === undefined) throw new Error(`package.json has no script ${name}`)
  if (/["'|&;<>$`\\]/.test(script)) throw new Error(`the script ${name} needs a shell`)
  return script.split(' ')
}
