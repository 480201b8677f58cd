/** Refuses to start where the environment could read or change what the gateway handles. */
import { ConfigError } from './load-config.ts'

/**
 * Judges the environment and the flags that Node itself was started with.
 *
 * @throws ConfigError naming the first danger.
 */
export function refuseDangerousEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[],
): void {
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] !== undefined) {
    refuse('NODE_TLS_REJECT_UNAUTHORIZED', 'so anybody could stand in for the provider')
  }
  if (environment['SSLKEYLOGFILE'] !== undefined || has(execArgv, '--tls-keylog')) {
    refuse('SSLKEYLOGFILE or --tls-keylog', 'so TLS secrets would be written down')
  }
  const options = [...(environment['NODE_OPTIONS'] ?? '').split(/\s+/), ...execArgv]
  for (const flag of ['--require', '-r', '--import', '--loader', '--experimental-loader']) {
    if (has(options, flag)) {
      refuse(`a preload (${flag})`, 'so code that is not measured would run in the gateway')
    }
  }
  for (const flag of ['--inspect', '--inspect-brk', '--inspect-wait', '--inspect-port']) {
    if (has(options, flag)) refuse(flag, 'so a debugger could read prompts and keys')
  }
}

function refuse(what: string, why: string): never {
  throw new ConfigError(`refusing to start: ${what} is set, ${why}`)
}

function has(options: readonly string[], flag: string): boolean {
  return options.some((option) => {
    const bare = option.replaceAll('"', '').replaceAll("'", '')
    return bare === flag || bare.startsWith(`${flag}=`)
  })
}
