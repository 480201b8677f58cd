/** What the rules need to know of one TypeScript module, from one pass of oxc-parser over its text. */
import { parseSync, Visitor, type ParseResult, type VisitorObject } from 'oxc-parser'
import type { SourceTree } from '../source-tree.ts'

/**
 * How a module names another one. `url` is `new URL('./x.ts', import.meta.url)`; `resolve` is `import.meta.resolve`
 * and `require.resolve`, by which a process starts another without importing it.
 */
export type ImportKind = 'static' | 're-export' | 'dynamic' | 'require' | 'type' | 'url' | 'resolve'

/** One mention of another module; `specifier` is undefined when it is computed at run time. */
export interface ImportFact {
  readonly kind: ImportKind
  readonly specifier: string | undefined
  readonly line: number
}

/** A mention of something by name, e.g. `crypto.subtle.verify` with its dots. */
export interface NameFact {
  readonly name: string
  readonly line: number
}

/** One module. */
export interface ModuleFacts {
  readonly path: string
  readonly imports: readonly ImportFact[]
  /** Names taken from other modules: `node:crypto#verify`, `./es256.ts#*`. */
  readonly importedNames: readonly NameFact[]
  /** Dotted member chains (`crypto.subtle.verify`) and single identifiers, in declarations and uses alike. */
  readonly names: readonly NameFact[]
  /** Lines of exports that only pass on what another module exports. */
  readonly passedOn: readonly number[]
  /** Lines where the type `any` is written. */
  readonly anyTypes: readonly number[]
  readonly comments: readonly { readonly text: string; readonly line: number }[]
}

type Program = ParseResult['program']
type CallNode = Parameters<NonNullable<VisitorObject['CallExpression']>>[0]
type Expression = CallNode['callee']
type Argument = CallNode['arguments'][number]

/**
 * Parses every `.ts` file of `tree`.
 *
 * @throws Error when a file has a syntax error, or there is no file at all.
 */
export function readModules(tree: SourceTree): readonly ModuleFacts[] {
  const modules = tree.files
    .filter((path) => path.endsWith('.ts'))
    .map((path) => parseModule(path, tree.read(path)))
  if (modules.length === 0) throw new Error('there is no TypeScript file to judge')
  return modules
}

/** Parses one module. @throws Error when it has a syntax error. */
export function parseModule(path: string, text: string): ModuleFacts {
  const result = parseSync(path, text)
  const [error] = result.errors
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  const lineOf = lineCounter(text)
  const comments = result.comments.map(({ value, start }) => ({ text: value, line: lineOf(start) }))
  return {
    path,
    ...collectImports(result.program, lineOf),
    ...collectNames(result.program, lineOf),
    comments,
  }
}

type ImportFacts = Pick<ModuleFacts, 'imports' | 'importedNames' | 'passedOn'>
type LineOf = (offset: number) => number

function collectImports(program: Program, lineOf: LineOf): ImportFacts {
  const imports: ImportFact[] = []
  const importedNames: NameFact[] = []
  const passedOn: number[] = []
  const localExports: NameFact[] = []
  const bindings = new Set<string>()
  const add = (kind: ImportKind, specifier: string | undefined, offset: number): void => {
    imports.push({ kind, specifier, line: lineOf(offset) })
  }
  const addName = (source: string | undefined, name: string, offset: number): void => {
    importedNames.push({ name: `${source ?? ''}#${name}`, line: lineOf(offset) })
  }

  new Visitor({
    ImportDeclaration(node) {
      add(node.importKind === 'type' ? 'type' : 'static', node.source.value, node.start)
      for (const specifier of node.specifiers) {
        bindings.add(specifier.local.name)
        const name = specifier.type === 'ImportSpecifier' ? nameOf(specifier.imported) : '*'
        addName(node.source.value, name, specifier.start)
      }
    },
    ExportAllDeclaration(node) {
      add('re-export', node.source.value, node.start)
      addName(node.source.value, '*', node.start)
      passedOn.push(lineOf(node.start))
    },
    ExportNamedDeclaration(node) {
      const exported = node.specifiers.map((specifier) => nameOf(specifier.local))
      const line = lineOf(node.start)
      if (node.source === null) {
        for (const name of exported) localExports.push({ name, line })
        return
      }
      add('re-export', node.source.value, node.start)
      for (const name of exported) addName(node.source.value, name, node.start)
      passedOn.push(line)
    },
    ImportExpression(node) {
      add('dynamic', literalOf(node.source), node.start)
      addName(literalOf(node.source), '*', node.start)
    },
    TSImportType(node) {
      add('type', node.source.value, node.start)
    },
    TSImportEqualsDeclaration(node) {
      if (node.moduleReference.type !== 'TSExternalModuleReference') return
      add('require', node.moduleReference.expression.value, node.start)
      addName(node.moduleReference.expression.value, '*', node.start)
    },
    CallExpression(node) {
      const kind = callKind(node.callee)
      if (kind === undefined) return
      add(kind, literalOf(node.arguments[0]), node.start)
      if (kind === 'require') addName(literalOf(node.arguments[0]), '*', node.start)
    },
    NewExpression(node) {
      const [target, base] = node.arguments
      if (dotted(node.callee) !== 'URL' || base === undefined) return
      if (dotted(base) !== 'import.meta.url') return
      const specifier = literalOf(target)
      if (specifier?.endsWith('.ts') === true) add('url', specifier, node.start)
    },
  }).visit(program)
  for (const { name, line } of localExports) if (bindings.has(name)) passedOn.push(line)
  return { imports, importedNames, passedOn }
}

function collectNames(program: Program, lineOf: LineOf): Pick<ModuleFacts, 'names' | 'anyTypes'> {
  const names: NameFact[] = []
  const anyTypes: number[] = []
  new Visitor({
    Identifier(node) {
      names.push({ name: node.name, line: lineOf(node.start) })
    },
    MemberExpression(node) {
      const name = dotted(node)
      if (name !== undefined) names.push({ name, line: lineOf(node.start) })
    },
    VariableDeclarator(node) {
      // `const { verify } = crypto.subtle` is `crypto.subtle.verify` by another way.
      if (node.id.type !== 'ObjectPattern' || node.init === null) return
      const object = dotted(node.init)
      if (object === undefined) return
      for (const property of node.id.properties) {
        if (property.type !== 'Property' || property.key.type !== 'Identifier') continue
        names.push({ name: `${object}.${property.key.name}`, line: lineOf(property.start) })
      }
    },
    TSAnyKeyword(node) {
      anyTypes.push(lineOf(node.start))
    },
  }).visit(program)
  return { names, anyTypes }
}

function callKind(callee: Expression): 'require' | 'resolve' | undefined {
  const name = dotted(callee)
  if (name === 'require') return 'require'
  if (name === 'import.meta.resolve' || name === 'require.resolve') return 'resolve'
  // `createRequire(import.meta.url)('x')`
  if (callee.type === 'CallExpression' && dotted(callee.callee) === 'createRequire')
    return 'require'
  return undefined
}

/** `a.b.c` for a chain of plain names, also through `a?.b` and `a['b']`; undefined for anything else. */
function dotted(node: Expression | Argument): string | undefined {
  if (node.type === 'Identifier') return node.name
  if (node.type === 'MetaProperty') return `${node.meta.name}.${node.property.name}`
  if (node.type === 'ChainExpression') return dotted(node.expression)
  if (node.type !== 'MemberExpression') return undefined
  const object = dotted(node.object)
  const property = node.computed
    ? literalOf(node.property)
    : node.property.type === 'PrivateIdentifier'
      ? undefined
      : node.property.name
  return property === undefined ? undefined : `${object ?? ''}.${property}`
}

function literalOf(node: Argument | Expression | undefined): string | undefined {
  if (node === undefined) return undefined
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value
  if (node.type !== 'TemplateLiteral' || node.expressions.length > 0) return undefined
  return node.quasis[0]?.value.cooked ?? undefined
}

function nameOf(node: { readonly name: string } | { readonly value: string }): string {
  return 'name' in node ? node.name : node.value
}

/** Offsets of oxc are UTF-16 units, like those of `text`. */
function lineCounter(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}
