/** Command line of the loopback provider. */
import { parseArgs } from 'node:util'

/** Parsed command line; see `usage`. */
export interface ProviderOptions {
  readonly port: number
  readonly plain: boolean
  readonly caOut: string | null
  readonly apiKey: string | null
  readonly recordingsDir: string | null
  readonly delayMs: number
  readonly certNames: readonly string[]
  readonly certExpired: boolean
  readonly tlsMax: 'TLSv1.2' | 'TLSv1.3'
  readonly models: readonly string[]
  readonly exitWithParent: boolean
}

/** What --help prints. */
export const usage = `Loopback provider: stands in for a paid provider on 127.0.0.1. No model runs.

  --port N              port, default a free one
  --plain               HTTP instead of HTTPS
  --ca-out FILE         where to write the CA certificate (PEM); default a new temporary file
  --api-key KEY         require KEY in the header of the wire: Authorization, x-api-key, x-goog-api-key
  --recordings DIR      folder for the models replay:<relative path>
  --delay-ms N          pause between two pieces of an answer, default 0
  --cert-names a,b      names in the server certificate, default localhost,127.0.0.1
  --cert-expired        present an expired server certificate
  --tls-max 1.2|1.3     the one TLS version spoken, default 1.3
  --models a,b          further model names that answer like loopback-echo
  --exit-with-parent    exit when standard input ends
`

/** Thrown for a command line that cannot be used; the message says which option. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UsageError'
  }
}

/** Parses the arguments after the script name. Throws UsageError; nothing else. */
export function parseOptions(args: readonly string[]): ProviderOptions | 'help' {
  const values = parseValues(args)
  if (values.help === true) return 'help'
  return {
    port: toInteger('--port', values.port ?? '0', 65_535),
    plain: values.plain ?? false,
    caOut: values['ca-out'] ?? null,
    apiKey: values['api-key'] ?? null,
    recordingsDir: values.recordings ?? null,
    delayMs: toInteger('--delay-ms', values['delay-ms'] ?? '0', 600_000),
    certNames: toList(values['cert-names'] ?? 'localhost,127.0.0.1'),
    certExpired: values['cert-expired'] ?? false,
    tlsMax: toTlsVersion(values['tls-max'] ?? '1.3'),
    models: toList(values.models ?? ''),
    exitWithParent: values['exit-with-parent'] ?? false,
  }
}

function parseValues(args: readonly string[]): ReturnType<typeof parseKnownArgs> {
  try {
    return parseKnownArgs(args)
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : 'unusable arguments', { cause })
  }
}

function parseKnownArgs(args: readonly string[]): {
  help?: boolean
  port?: string
  plain?: boolean
  'ca-out'?: string
  'api-key'?: string
  recordings?: string
  'delay-ms'?: string
  'cert-names'?: string
  'cert-expired'?: boolean
  'tls-max'?: string
  models?: string
  'exit-with-parent'?: boolean
} {
  const { values } = parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      help: { type: 'boolean' },
      port: { type: 'string' },
      plain: { type: 'boolean' },
      'ca-out': { type: 'string' },
      'api-key': { type: 'string' },
      recordings: { type: 'string' },
      'delay-ms': { type: 'string' },
      'cert-names': { type: 'string' },
      'cert-expired': { type: 'boolean' },
      'tls-max': { type: 'string' },
      models: { type: 'string' },
      'exit-with-parent': { type: 'boolean' },
    },
  })
  return values
}

function toInteger(option: string, text: string, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number.parseInt(text, 10) : -1
  if (value < 0 || value > max)
    throw new UsageError(`${option} must be a whole number up to ${max}`)
  return value
}

function toTlsVersion(text: string): ProviderOptions['tlsMax'] {
  if (text === '1.2') return 'TLSv1.2'
  if (text === '1.3') return 'TLSv1.3'
  throw new UsageError('--tls-max must be 1.2 or 1.3')
}

function toList(text: string): string[] {
  return text.split(',').filter((item) => item !== '')
}
