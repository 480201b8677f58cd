/** One connection to each worker of a gateway, so that a test knows whom it asks. */
import { Agent } from 'node:http'
import { expect } from 'vitest'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawCall, type RawResult } from '../../../../test/provider/raw-client.ts'

/** A connection that stays at one worker, while no call over it is left before its end. */
export interface WorkerLine {
  /** The digest of the keyset that this worker signs under. */
  readonly keyset: string
  call(path: string, more?: Partial<RawCall>): Promise<RawResult>
  close(): void
}

const nonce = '00'.repeat(32)

/** Opens lines until there is one to each worker: the kernel draws lots for connections. */
export async function openLines(origin: string, workers: number): Promise<readonly WorkerLine[]> {
  const lines = new Map<string, WorkerLine>()
  for (let tries = 0; lines.size < workers && tries < 64; tries++) {
    const line = await openLine(origin)
    if (lines.has(line.keyset)) line.close()
    else lines.set(line.keyset, line)
  }
  expect(lines.size).toBe(workers)
  return [...lines.values()]
}

async function openLine(origin: string): Promise<WorkerLine> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const call: WorkerLine['call'] = (path, more) => callRaw({ url: origin + path, agent, ...more })
  const { body } = await call(`/v1/attestation?nonce=${nonce}`)
  const answer: { readonly keyset: string } = JSON.parse(body.toString())
  const { payload } = parseStatement(fromBase64url(answer.keyset) ?? new Uint8Array(0))
  return { keyset: toHex(payload.keysetDigest), call, close: () => agent.destroy() }
}
