/**
 * Runs the blocks of the guides one after the other, each as a module of its own that finds the packages of this folder,
 * and prints what they printed as one line of JSON.
 */
import { registerHooks } from 'node:module'
import { readSnippets } from './snippets.ts'

/** What a block printed, or threw. */
export interface SnippetReport {
  readonly name: string
  readonly printed: string
  readonly fault: string | null
}

const snippets = readSnippets()
const sources = new Map(
  snippets.map(({ source }, index) => [
    new URL(`snippet-${String(index)}.mjs`, import.meta.url).href,
    source,
  ]),
)
registerHooks({
  resolve(specifier, context, next) {
    if (sources.has(specifier)) return { url: specifier, format: 'module', shortCircuit: true }
    // Workspaces are their sources here; packages of others are what Node would take.
    const conditions = specifier.startsWith('@countersign/') ? ['source'] : []
    return next(specifier, { ...context, conditions: [...context.conditions, ...conditions] })
  },
  load(url, context, next) {
    const source = sources.get(url)
    return source === undefined
      ? next(url, context)
      : { format: 'module', source, shortCircuit: true }
  },
})

const { fetch: platformFetch } = globalThis
const reports: SnippetReport[] = []
for (const [url] of sources) {
  const name = snippets[reports.length]?.name ?? ''
  const lines: string[] = []
  console.log = (...words: readonly unknown[]) => {
    lines.push(words.map(String).join(' '))
  }
  const fault = await import(url).then(
    () => null,
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  )
  globalThis.fetch = platformFetch
  reports.push({ name, printed: lines.join('\n'), fault })
}
process.stdout.write(JSON.stringify(reports))
