/**
 * The loopback provider: a server process that stands in for a paid provider in tests and in the
 * demo. It speaks the wires of OpenAI, Anthropic and Google over TLS with a CA of its own, runs no model and says so in
 * each answer. It is never part of the gateway. `--help` lists the options; `behaviours.ts` lists
 * the model names. One JSON line on standard output says when it is ready; logs go to stderr.
 */
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createCertificateAuthority,
  expiredValidity,
  issueServerCertificate,
} from './certificate.ts'
import { parseOptions, usage, UsageError } from './options.ts'
import type { ProviderOptions } from './options.ts'
import { createLoopbackServer } from './server.ts'
import type { ServerTls } from './server.ts'

await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<void> {
  try {
    const options = parseOptions(args)
    if (options === 'help') process.stdout.write(usage)
    else await serve(options)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`loopback provider: ${error.message}\n\n${usage}`)
    process.exitCode = 64
  }
}

async function serve(options: ProviderOptions): Promise<void> {
  const { tls, caFile } = await prepareTls(options)
  const server = createLoopbackServer({ ...options, tls }, { clock: nowMs, report })
  server.on('clientError', (error) => report(error))
  server.on('tlsClientError', (error: Error) => report(error))
  server.listen(options.port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  const scheme = options.plain ? 'http' : 'https'
  const url = `${scheme}://127.0.0.1:${address.port}/v1`
  process.stdout.write(`${JSON.stringify({ ready: true, url, caFile })}\n`)
  if (options.exitWithParent) {
    process.stdin.resume()
    process.stdin.once('close', () => process.exit(0))
  }
}

async function prepareTls(
  options: ProviderOptions,
): Promise<{ readonly tls: ServerTls; readonly caFile: string | null }> {
  if (options.plain) return { tls: { kind: 'plain' }, caFile: null }
  const authority = createCertificateAuthority({ nowMs: Date.now() })
  const certificate = options.certExpired
    ? issueServerCertificate(authority, options.certNames, expiredValidity(authority))
    : issueServerCertificate(authority, options.certNames)
  const caFile =
    options.caOut ?? join(await mkdtemp(join(tmpdir(), 'loopback-provider-')), 'ca.pem')
  await writeFile(caFile, authority.certificatePem)
  return { tls: { kind: 'tls', ...certificate, maxVersion: options.tlsMax }, caFile }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

function report(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`loopback provider: ${text}\n`)
}
