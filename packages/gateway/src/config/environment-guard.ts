/** Refuses to start where the environment could read or change what the gateway handles. */
import { ConfigError } from './load-config.ts'

type Danger = readonly [why: string, ...names: string[]]

const secretsWritten = 'so TLS secrets or what they protect would be written down'
const unmeasuredCode = 'a preload, so code that is not measured would run in the gateway'

const moreAuthorities = 'so more authorities could vouch for a provider (use caFile)'
const throughProxy = 'so a proxy could read and change what is asked of a chain over plain HTTP'

const variables: readonly Danger[] = [
  ['so anybody could stand in for the provider', 'NODE_TLS_REJECT_UNAUTHORIZED'],
  // A Node that was built for the authorities of its system reads the last two.
  [moreAuthorities, 'NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  // Without it Node reads no HTTP_PROXY or HTTPS_PROXY.
  [throughProxy, 'NODE_USE_ENV_PROXY'],
  [secretsWritten, 'SSLKEYLOGFILE', 'NODE_DEBUG', 'NODE_DEBUG_NATIVE'],
  [unmeasuredCode, 'LD_PRELOAD', 'LD_AUDIT', 'OPENSSL_CONF'],
  ['so libraries that are not measured would run in the gateway', 'LD_LIBRARY_PATH'],
  // What stands in the cache runs in place of the source that was measured.
  ['so code from a cache would run, which nobody measured', 'NODE_COMPILE_CACHE'],
  ['so a simulator would stand in for hardware', 'DSTACK_SIMULATOR_ENDPOINT'],
]

const flags: readonly Danger[] = [
  [secretsWritten, '--tls-keylog', '--trace-tls'],
  [moreAuthorities, '--use-system-ca', '--use-openssl-ca'],
  [throughProxy, '--use-env-proxy'],
  [
    unmeasuredCode,
    '--require',
    '-r',
    '--import',
    '--loader',
    '--experimental-loader',
    '--openssl-config',
  ],
  [
    'so a file could add any other flag',
    '--experimental-config-file',
    '--experimental-default-config-file',
  ],
  [
    'so a debugger could read prompts and keys',
    '--inspect',
    '--inspect-brk',
    '--inspect-wait',
    '--inspect-port',
  ],
  [
    'so memory or secrets would be written to files',
    '--heapsnapshot-signal',
    '--heapsnapshot-near-heap-limit',
    '--report-on-signal',
    '--report-on-fatalerror',
    '--report-uncaught-exception',
  ],
]

/**
 * Judges the environment and the flags that Node itself was started with.
 *
 * @throws ConfigError naming the first danger.
 */
export function refuseDangerousEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[],
): void {
  for (const [why, ...names] of variables) {
    for (const name of names) if (environment[name] !== undefined) refuse(name, why)
  }
  const options = [...splitOptions(environment['NODE_OPTIONS'] ?? ''), ...execArgv]
  const given = new Set(options.map(toFlag))
  for (const [why, ...names] of flags) {
    for (const name of names) if (given.has(name)) refuse(name, why)
  }
}

/** Quotes and backslashes are dropped: Node would join what they separate. */
function splitOptions(nodeOptions: string): readonly string[] {
  return nodeOptions.replaceAll(/["'\\]/g, '').split(/\s+/)
}

/** The name of a flag; Node takes underscores for hyphens. */
function toFlag(option: string): string {
  const [name = ''] = option.split('=')
  return name.replaceAll('_', '-')
}

function refuse(what: string, why: string): never {
  throw new ConfigError(`refusing to start: ${what} is set, ${why}`)
}
