/** What `npm run attack` is told. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { schemes, type Scheme } from './attack.ts'
import { catalogue } from './catalogue.ts'
import type { PaidRequest } from './wire.ts'

/** The help. */
export const usage = `npm run attack -- [options]

  --url URL             the server; without it a network is started here and attacked
  --scheme S            exact, upto or batch-settlement; without --url default: all three
  --path PATH           a paid route, default /v1/chat/completions
  --body TEXT           a body that it answers (--body-file FILE)
  --rpc-url URL         a node of the chain that the offers name: the payer's money is looked at
  --payer-key-env NAME  variable with the private key of a funded payer (--payer-key-file FILE)
  --only T1,T9          only these
  --repeats N           how often to repeat what is repeated, default 100
  --seed N              for what is random, default 1
  --stock               without --url: attack the stock x402 server, started here
  --compare             without --url: attack our gateway and the stock server; writes docs/security/payments.md
  --json                one JSON document instead of lines

Ends with 0 when no attack succeeded, 1 when one did, 2 for wrong options, 3 when the target could not be attacked (it
does not answer, sells nothing, refuses an ordinary payment; the chain does not answer) or an attack broke off;
--compare ends with 0 whatever it saw.
The payer pays: use a key that holds little. Against a server that is not yours, ask first.
`

/** Somebody's server, and who pays there. */
export type Target = {
  readonly url: string
  readonly rpcUrl: string
  readonly request: PaidRequest
  readonly payerKey: Hex
}

/** All of it. */
export type AttackOptions = {
  readonly aim:
    | { readonly kind: 'there'; readonly target: Target }
    | { readonly kind: 'here' | 'stock' | 'compare' }
  readonly schemes: readonly Scheme[]
  readonly repeats: number
  readonly seed: number
  readonly only: ReadonlySet<string>
  readonly json: boolean
}

/** Thrown for options that say nothing that can be done. */
export class UsageError extends Error {}

const optionTypes = {
  url: { type: 'string' },
  scheme: { type: 'string' },
  path: { type: 'string' },
  body: { type: 'string' },
  'body-file': { type: 'string' },
  'rpc-url': { type: 'string' },
  'payer-key-env': { type: 'string' },
  'payer-key-file': { type: 'string' },
  only: { type: 'string' },
  repeats: { type: 'string' },
  seed: { type: 'string' },
  compare: { type: 'boolean' },
  json: { type: 'boolean' },
  stock: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

type Values = ReturnType<typeof parseValues>
type Environment = Readonly<Record<string, string | undefined>>

/** `help` when only that is asked for. @throws UsageError */
export function parseOptions(
  words: readonly string[],
  environment: Environment,
): AttackOptions | 'help' {
  const values = parseValues(words)
  if (values.help === true) return 'help'
  return {
    aim: aimOf(values, environment),
    schemes: values.scheme === undefined ? schemes : [schemeOf(values.scheme)],
    repeats: numberOf('repeats', values.repeats ?? '100'),
    seed: numberOf('seed', values.seed ?? '1'),
    only: chosenOf(values.only),
    json: values.json === true,
  }
}

function parseValues(words: readonly string[]) {
  const { values, tokens } = parseWords(words)
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new UsageError(`--${twice} is given twice`)
  return values
}

function parseWords(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: optionTypes, tokens: true })
  } catch (error) {
    // Node says which word it does not know.
    const text = error instanceof Error ? error.message : String(error)
    throw new UsageError(text.split('. ')[0], { cause: error })
  }
}

function aimOf(values: Values, environment: Environment): AttackOptions['aim'] {
  const { url, compare, stock, json, scheme } = values
  const ways = [url !== undefined, compare === true, stock === true]
  if (ways.filter(Boolean).length > 1) {
    throw new UsageError('--url, --stock and --compare exclude one another')
  }
  if (compare === true && json === true) {
    throw new UsageError('--compare and --json exclude one another')
  }
  if (url !== undefined) {
    if (scheme === undefined) throw new UsageError('--scheme is missing')
    return { kind: 'there', target: targetOf(values, environment) }
  }
  // Else somebody else's network would be attacked than was meant.
  const names = ['path', 'body', 'body-file', 'rpc-url', 'payer-key-env', 'payer-key-file'] as const
  const given = names.find((name) => values[name] !== undefined)
  if (given !== undefined) throw new UsageError(`--${given} needs --url`)
  if (compare === true) return { kind: 'compare' }
  return { kind: stock === true ? 'stock' : 'here' }
}

function targetOf(values: Values, environment: Environment): Target {
  const { path = '/v1/chat/completions' } = values
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new UsageError('--path must begin with /')
  return {
    url: serverOf(values.url),
    rpcUrl: urlOf('rpc-url', values['rpc-url']),
    request: { path, body: bodyOf(values), headers: { 'content-type': 'application/json' } },
    payerKey: keyOf(values, environment),
  }
}

/** What a path can be added to. */
function serverOf(text: string | undefined): string {
  const url = urlOf('url', text)
  // A password would be printed with it, and the path would become part of a query.
  if (/[@?#]/.test(url)) throw new UsageError('--url takes no user, query or fragment')
  return url.replace(/\/$/, '')
}

function urlOf(name: string, text: string | undefined): string {
  if (text === undefined) throw new UsageError(`--${name} is missing`)
  const protocol = URL.parse(text)?.protocol
  if (protocol === 'http:' || protocol === 'https:') return text
  throw new UsageError(`--${name} must be a URL of http or https`)
}

function bodyOf({ body, 'body-file': file }: Values): string {
  if (body !== undefined && file === undefined) return body
  if (body === undefined && file !== undefined) return readText('body-file', file)
  throw new UsageError('one of --body and --body-file must say what is asked')
}

function keyOf(
  { 'payer-key-env': name, 'payer-key-file': file }: Values,
  environment: Environment,
): Hex {
  let text: string | undefined
  if (name !== undefined && file === undefined) text = environment[name]
  else if (name === undefined && file !== undefined) text = readText('payer-key-file', file)
  else throw new UsageError('one of --payer-key-env and --payer-key-file must name a payer')
  if (text === undefined) throw new UsageError(`there is no variable ${name}`)
  const where = name === undefined ? '--payer-key-file' : `the variable ${name}`
  const form = `${where} must hold 0x and 64 hex digits, a private key`
  const key = text.trim()
  if (!/^0x[0-9a-fA-F]{64}$/.test(key)) throw new UsageError(form)
  const hex: Hex = `0x${key.slice(2)}`
  try {
    privateKeyToAddress(hex)
  } catch {
    // Its message would hold the key.
    throw new UsageError(form)
  }
  return hex
}

function readText(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError(`--${name} cannot be read: ${file}`, { cause })
  }
}

function chosenOf(text: string | undefined): ReadonlySet<string> {
  const known = new Set<string>(catalogue.map(({ id }) => id))
  const only = text?.split(',') ?? [...known]
  const wrong = only.find((id) => !known.has(id))
  if (wrong !== undefined) throw new UsageError(`there is no attack "${wrong}"`)
  return new Set(only)
}

function schemeOf(text: string): Scheme {
  const scheme = schemes.find((each) => each === text)
  if (scheme === undefined) throw new UsageError('--scheme must be exact, upto or batch-settlement')
  return scheme
}

function numberOf(name: 'repeats' | 'seed', text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw new UsageError(`--${name} must be a whole number from 1 to 999999`)
  }
  return Number(text)
}
