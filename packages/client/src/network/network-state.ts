/** What a running network leaves in its folder for the other commands. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { ClientError } from '../errors.ts'
import { isJsonMap } from '../pay/base64-json.ts'

/** Where a network is. */
export type NetworkState = {
  /** Base URL of the gateway, ending in /v1. */
  readonly baseUrl: string
  /** Model that commands use by default. */
  readonly model: string
}

const fileName = 'network.json'
const healthTimeoutMs = 2000

/** Writes the state; it is removed when the network stops in order. */
export async function writeNetworkState(folder: string, state: NetworkState): Promise<void> {
  await writeFile(join(folder, fileName), `${JSON.stringify(state)}\n`)
}

/** Removes the state. */
export async function removeNetworkState(folder: string): Promise<void> {
  await rm(join(folder, fileName), { force: true })
}

/**
 * The network that runs with this folder.
 *
 * @throws ClientError `network-not-running`, `state-malformed`.
 */
export async function readNetworkState(folder: string): Promise<NetworkState> {
  const state = await readState(folder)
  if (state === undefined || !(await answers(state))) {
    throw new ClientError('network-not-running', { detail: folder })
  }
  return state
}

/** True when a gateway answers where the state of this folder says: a crash leaves the state behind. */
export async function isRunning(folder: string): Promise<boolean> {
  const state = await readState(folder)
  return state !== undefined && answers(state)
}

async function readState(folder: string): Promise<NetworkState | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(join(folder, fileName))
  } catch {
    return undefined
  }
  const json = decodeJson(bytes)
  const baseUrl = isJsonMap(json) ? json.get('baseUrl') : undefined
  const model = isJsonMap(json) ? json.get('model') : undefined
  if (typeof baseUrl !== 'string' || typeof model !== 'string' || !URL.canParse(baseUrl)) {
    throw new ClientError('state-malformed', { detail: join(folder, fileName) })
  }
  return { baseUrl, model }
}

async function answers({ baseUrl }: NetworkState): Promise<boolean> {
  try {
    const response = await fetch(new URL('/healthz', baseUrl), {
      signal: AbortSignal.timeout(healthTimeoutMs),
    })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}
