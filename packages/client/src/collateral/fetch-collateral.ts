/** Fetches collateral from the services of vendors, or from a mirror of them. */
import { ClientError } from '../errors.ts'
import { readBounded } from '../read-bounded.ts'
import type { CollateralAnswer } from './collateral-answer.ts'
import type { CollateralRequest } from './collateral-requests.ts'

const maxAnswerBytes = 262_144
const timeoutMs = 60_000

/**
 * All pieces that the requests give, by name.
 *
 * @param mirror - an origin that serves `/HOST/PATH` as the service at HOST serves `/PATH`; absent, the services.
 * @throws ClientError `collateral-unavailable`, `collateral-malformed`.
 */
export async function fetchCollateral(
  requests: readonly CollateralRequest[],
  mirror: string | undefined,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const pieces = new Map<string, Uint8Array>()
  // One after the other: these services limit how much is asked at a time.
  for (const { url, read } of requests) {
    const answer = await ask(url, toMirror(url, mirror), signal)
    for (const [name, piece] of read(answer)) pieces.set(name, piece)
  }
  return pieces
}

function toMirror(url: string, mirror: string | undefined): string {
  if (mirror === undefined) return url
  const { host, pathname, search } = new URL(url)
  return `${mirror}/${host}${pathname}${search}`
}

async function ask(url: string, at: string, signal: AbortSignal): Promise<CollateralAnswer> {
  const { host } = new URL(url)
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const response = await fetch(at, { redirect: 'error', signal: patience })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new ClientError('collateral-unavailable', { detail: `${host}: ${response.status}` })
    }
    const body = await readBounded(response, maxAnswerBytes)
    if (body === undefined) throw new ClientError('collateral-malformed', { detail: host })
    return { body, header: (name) => response.headers.get(name) }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    throw new ClientError('collateral-unavailable', { detail: host, cause })
  }
}
