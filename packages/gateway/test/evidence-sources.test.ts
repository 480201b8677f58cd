/** Sources of evidence against emulators that speak their formats under test roots: no production pin takes these. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { appraiseTdx } from '@countersign/protocol/attestation/dcap/appraise-dcap'
import { appraiseNitroEnclave } from '@countersign/protocol/attestation/nitro/appraise-nitro'
import { appraiseConfidentialSpace } from '@countersign/protocol/attestation/token/confidential-space'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { workload } from '../../../test/vectors/attestation/cases/token-workload.ts'
import { dcapAsOfMs, dcapRoot, forgeDcap } from '../../../test/vectors/attestation/dcap-evidence.ts'
import {
  forgeEnclave,
  nitroTestRoot,
  nitroTimeMs,
} from '../../../test/vectors/attestation/forge-nitro.ts'
import { createConfidentialSpaceSource } from '../src/enclave/confidential-space-source.ts'
import { detectSource, findDstackSocket, tsmFolder } from '../src/enclave/detect-source.ts'
import { createDstackSource } from '../src/enclave/dstack-source.ts'
import { createNitroEnclaveSource } from '../src/enclave/nitro-enclave-source.ts'
import { openAttester } from '../src/enclave/open-attester.ts'
import { expectTaken } from './support/expect-taken.ts'
import {
  serveText,
  type TextAnswer,
  type TextRequest,
  type TextService,
} from './support/serve-text.ts'

const timeoutMs = 60_000
let folder: string
let socketPath: string
let service: TextService | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-sources-'))
  socketPath = join(folder, 'source.sock')
})
afterEach(async () => {
  await service?.stop()
  service = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function serve(answer: Parameters<typeof serveText>[0]): Promise<void> {
  service = await serveText(answer, socketPath)
}

function ok(body: string | Uint8Array): TextAnswer {
  return { status: 200, headers: {}, body }
}

function dstackAnswer({ body }: TextRequest, part: object = {}): TextAnswer {
  const { report_data: asked = '' }: { report_data?: string } = JSON.parse(body)
  const { raw } = forgeDcap('tdx', {
    body: (bytes) => {
      bytes.set(Buffer.from(asked, 'hex'), 520)
    },
  })
  const answer = {
    quote: toHex(raw),
    event_log: '[]',
    report_data: asked,
    vm_config: '{}',
    ...part,
  }
  return ok(JSON.stringify(answer))
}

test('dstack gives a TDX quote and its log of events', async () => {
  await serve(dstackAnswer)
  const reportData = randomBytes(64)
  const { raw, collateral } = await createDstackSource(socketPath, timeoutMs).attest(reportData)
  expect(Buffer.from(collateral.get('dstack-log') ?? []).toString()).toBe('[]')
  const evidence = { raw, collateral: new Map([...forgeDcap('tdx').collateral, ...collateral]) }
  await expectTaken(appraiseTdx, evidence, dcapAsOfMs, dcapRoot, reportData)
  expect(service?.requests).toMatchObject([
    { method: 'POST', path: '/GetQuote', contentType: 'application/json' },
  ])
})

test('dstack: refuses answers for somebody else, and answers that are none', async () => {
  const parts: readonly object[] = [
    { report_data: 'ab'.repeat(64) },
    { quote: 'xyz' },
    { quote: '' },
    { quote: 1 },
    { event_log: [] },
  ]
  for (const part of parts) {
    await serve((request) => dstackAnswer(request, part))
    await expect(
      createDstackSource(socketPath, timeoutMs).attest(randomBytes(64)),
      JSON.stringify(part),
    ).rejects.toMatchObject({ code: 'attester-malformed' })
    await service?.stop()
  }
  await serve(ok('not JSON'))
  await expect(
    createDstackSource(socketPath, timeoutMs).attest(randomBytes(64)),
  ).rejects.toMatchObject({ code: 'attester-malformed' })
})

test('Confidential Space gives a token for the audience and the nonce', async () => {
  await serve(({ body }) => {
    const {
      audience,
      nonces,
      token_type: type,
    }: { audience: string; nonces: string[]; token_type: string } = JSON.parse(body)
    if (type !== 'OIDC' || nonces.length !== 1) return { status: 400, headers: {}, body: '' }
    return ok(workload('', '', { claims: { aud: audience, eat_nonce: nonces[0] } }).raw)
  })
  const reportData = randomBytes(64)
  const source = createConfidentialSpaceSource(socketPath, timeoutMs)
  const { raw } = await source.attest(reportData)
  const { collateral = new Map(), asOfMs, roots } = workload('', '')
  const { checks, claims } = await appraiseConfidentialSpace(
    { raw, collateral },
    { asOfMs, roots: new Set(roots) },
  )
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(claims?.binding).toEqual({ form: 'sha256', values: [sha256(reportData)] })
  expect(service?.requests[0]).toMatchObject({ path: '/v1/token' })
  expect(JSON.parse(service?.requests[0]?.body ?? '')).toMatchObject({
    nonces: [toBase64url(sha256(reportData))],
  })
})

test('a helper gives the document of a Nitro Enclave', async () => {
  await serve(({ body }) => {
    const { user_data: userData = '' }: { user_data?: string } = JSON.parse(body)
    const document = forgeEnclave({
      members: (members) =>
        members.map(([key, value]) => [
          key,
          key === 'user_data' ? Uint8Array.from(Buffer.from(userData, 'base64url')) : value,
        ]),
    })
    return ok(document)
  })
  const reportData = randomBytes(64)
  const evidence = await createNitroEnclaveSource(socketPath, timeoutMs).attest(reportData)
  await expectTaken(appraiseNitroEnclave, evidence, nitroTimeMs, nitroTestRoot, reportData)
  expect(service?.requests).toMatchObject([{ method: 'POST', path: '/attest' }])
})

test('sources behind sockets say what is wrong with the other side', async () => {
  const sources = [createDstackSource, createConfidentialSpaceSource, createNitroEnclaveSource]
  const rows: readonly (readonly [string, Parameters<typeof serveText>[0], string, number])[] = [
    ['an error', { status: 500, headers: {}, body: 'oops' }, 'attester-refused', timeoutMs],
    ['nothing', ok(''), 'attester-malformed', timeoutMs],
    ['too much', ok('a'.repeat(1_048_577)), 'attester-malformed', timeoutMs],
    ['silence', 'silent', 'attester-timeout', 50],
  ]
  for (const [name, answer, code, limitMs] of rows) {
    await serve(answer)
    for (const create of sources) {
      const asked = create(socketPath, limitMs).attest(randomBytes(64))
      await expect(asked, `${name} to ${create.name}`).rejects.toMatchObject({ code })
    }
    await service?.stop()
    service = undefined
  }
  for (const create of sources) {
    await expect(create(socketPath, timeoutMs).attest(randomBytes(64))).rejects.toMatchObject({
      code: 'attester-unreachable',
    })
  }
})

function having(...paths: readonly string[]): (path: string) => boolean {
  return (path) => paths.includes(path)
}

test('detects the one source of a machine, never a simulated one, and never chooses among several', () => {
  const launcher = '/run/container_launcher/teeserver.sock'
  expect(detectSource(having(tsmFolder))).toEqual({ kind: 'tsm', folder: tsmFolder })
  expect(detectSource(having('/run/dstack.sock', '/var/run/dstack.sock'))).toEqual({
    kind: 'dstack',
    socketPath: '/var/run/dstack.sock',
  })
  expect(detectSource(having(launcher))).toEqual({
    kind: 'confidential-space',
    socketPath: launcher,
  })
  expect(() => detectSource(having())).toThrow('no-attester')
  expect(() => detectSource(having(tsmFolder, launcher))).toThrow('several-attesters')
  expect(() => findDstackSocket(having())).toThrow('no-attester')
})

test('opens what the configuration names', async () => {
  const digests = { build: randomBytes(32), configuration: randomBytes(32) }
  await serve(dstackAnswer)
  const common = { timeoutMs, socketPath }
  const kinds = await Promise.all([
    openAttester({ kind: 'simulated' }, digests),
    openAttester({ kind: 'dstack', ...common }, digests),
    openAttester({ kind: 'confidential-space', ...common, collateralDir: folder }, digests),
    openAttester({ kind: 'nitro-enclave', ...common }, digests),
  ])
  expect(kinds.map(({ kind }) => kind)).toEqual([
    'simulated',
    'intel-tdx',
    'google-confidential-space',
    'aws-nitro',
  ])
  await expect(openAttester({ kind: 'tsm', timeoutMs, folder }, digests)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
  await expect(openAttester({ kind: 'auto', timeoutMs }, digests)).rejects.toMatchObject({
    family: 'code',
  })
})
