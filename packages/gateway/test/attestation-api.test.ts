/** A gateway whose evidence comes from a source outside of it: what it says, and what it does when that fails. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parsePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { serveText, type TextService } from './support/serve-text.ts'
import {
  createConfig,
  disposeGateway,
  runToEnd,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

let folder: string
let socketPath: string
let helper: TextService | undefined
let gateway: RunningGateway | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-attestation-'))
  socketPath = join(folder, 'helper.sock')
})
afterEach(async () => {
  if (gateway !== undefined) await disposeGateway(gateway)
  gateway = undefined
  await helper?.stop()
  helper = undefined
  rmSync(folder, { recursive: true, force: true })
})

/** A helper whose documents are the requests themselves. */
async function serveHelper(): Promise<TextService> {
  return serveText(({ body }) => ({ status: 200, headers: {}, body }), socketPath)
}

function attestation(): Readonly<Record<string, unknown>> {
  return { attestation: { kind: 'nitro-enclave', socketPath, timeoutMs: 60_000 } }
}

test('the attestation names its kind and carries report data for the caller’s nonce', async () => {
  helper = await serveHelper()
  gateway = await startGateway({ config: attestation() })
  const nonce = randomBytes(32)
  const response = await fetch(`${gateway.url}/v1/attestation?nonce=${nonce.toString('hex')}`)
  expect(response.status).toBe(200)
  const answer: {
    readonly keyset: string
    readonly evidence: { readonly kind: string; readonly nonce: string; readonly data: string }
  } = JSON.parse(await response.text())
  expect(answer.evidence).toMatchObject({ kind: 'aws-nitro', nonce: nonce.toString('base64url') })
  const { payload } = parseStatement(bytesOf(answer.keyset))
  const reportData = createReportData(payload.keysetDigest, nonce)
  const { raw } = parsePlatformEvidence(bytesOf(answer.evidence.data))
  expect(JSON.parse(Buffer.from(raw).toString())).toEqual({
    user_data: Buffer.from(reportData).toString('base64url'),
    nonce: null,
    public_key: null,
  })
})

test('without its source a running gateway keeps its keyset, and says that there is no fresh evidence', async () => {
  helper = await serveHelper()
  gateway = await startGateway({ config: attestation() })
  await helper.stop()
  helper = undefined
  const response = await fetch(`${gateway.url}/v1/attestation?nonce=${'ab'.repeat(32)}`)
  expect(response.status).toBe(503)
  expect(await response.text()).toContain('"attestation-unavailable"')
  const call = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: '{' })
  expect(call.status).toBe(400)
  expect(call.headers.get('x-receipt-id')).toMatch(/^[0-9a-f]{32}$/)
  await gateway.logged('no evidence could be made')
})

test('a gateway without evidence for its keys does not start, and says why', async () => {
  const file = join(folder, 'countersign.config.json')
  const configs: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
    [attestation(), 'attester-unreachable: '],
    [{ attestation: { kind: 'auto' } }, '-attester'],
    [{ attestation: { kind: 'tpm', enrolmentFile: 'nothing' } }, 'attester-unreachable: '],
  ]
  for (const [config, message] of configs) {
    writeFileSync(file, JSON.stringify(createConfig({ config })))
    const { code, stdout, stderr } = await runToEnd(['--config', file])
    expect({ code, stdout }).toEqual({ code: 69, stdout: '' })
    expect(stderr).toContain(message)
  }
})

function bytesOf(text: string): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array(0)
}
