/** The TypeScript blocks of the guides, and what each says that it prints. */
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

/** One block. */
export interface Snippet {
  /** The guide's file name and the block's number in it: `openai.md 1`. */
  readonly name: string
  readonly source: string
  /** The block under it, without its last line end. */
  readonly prints: string
}

const folder = new URL('../../docs/guides/', import.meta.url)
/** Only guides that say so are held to it. */
const claim = 'runs in the tests'
const block = /^```ts\n([\s\S]*?)^```\n(?:```text\n([\s\S]*?)^```$)?/gm

/** Every block of every guide that says that its blocks run. @throws Error for one that does not say what it prints. */
export function readSnippets(): readonly Snippet[] {
  const guides = readdirSync(folder).filter((file) => file.endsWith('.md'))
  return guides.toSorted().flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8')
    return text.includes(claim) ? readBlocks(text, file) : []
  })
}

/** The blocks of one text. */
export function readBlocks(text: string, file: string): readonly Snippet[] {
  return Array.from(text.matchAll(block), ([, source = '', prints], index) => {
    const name = `${file} ${String(index + 1)}`
    if (prints === undefined) throw new Error(`${name} does not say what it prints`)
    return { name, source: stripTypeScriptTypes(source), prints: prints.replace(/\n$/, '') }
  })
}
