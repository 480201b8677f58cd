import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sgxSample, snpSamples, tdxSample, type Sample } from '../../../test/attestation/samples.ts'
import {
  encodeAzureEvidence,
  parseAzureEvidence,
} from '@countersign/protocol/attestation/azure/azure-evidence'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { expandCases } from '../../../test/vectors/attestation/compact.ts'
import { forgeAzureTdx } from '../../../test/vectors/attestation/forge-azure.ts'
import { runCliHere } from './kit/run-cli-here.ts'
import type { Ended } from './kit/run-cli-process.ts'

/** Stands in for the services of vendors: answers as they do, with collateral of the samples. */
type Answer = { readonly body: Uint8Array; readonly headers?: Readonly<Record<string, string>> }

let folder: string
let server: Server
let mirror: string
let answers: Map<string, Answer>
let asked: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-collateral-'))
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const answer = answers.get(request.url ?? '')
    if (answer === undefined) response.writeHead(404).end('not found')
    else response.writeHead(200, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  mirror = `http://127.0.0.1:${isAddress(address) ? address.port : 0}`
})

beforeEach(() => {
  answers = new Map()
  asked = []
})

afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true, force: true })
})

function isAddress(value: unknown): value is AddressInfo {
  return typeof value === 'object' && value !== null && 'port' in value
}

const hosts = {
  intel: '/api.trustedservices.intel.com',
  root: '/certificates.trustedservices.intel.com/IntelSGXRootCA.der',
}

function pieceOf({ evidence }: Sample, name: string): Uint8Array {
  return evidence.collateral.get(name) ?? new Uint8Array(0)
}

/** The answers of Intel's services for a sample. */
function serveIntel(sample: Sample, kind: 'tdx' | 'sgx', fmspc: string, ca: string): void {
  const statement = (name: string, member: string): Uint8Array => {
    const signature = Buffer.from(pieceOf(sample, `${name}-signature`)).toString('hex')
    const text = Buffer.from(pieceOf(sample, name)).toString()
    return Buffer.from(`{"${member}":${text},"signature":"${signature}"}`)
  }
  const chain = (name: string): string =>
    encodeURIComponent(Buffer.from(pieceOf(sample, `${name}-chain`)).toString())
  const services = `${hosts.intel}/${kind}/certification/v4`
  answers = new Map<string, Answer>([
    [
      `${services}/tcb?fmspc=${fmspc}`,
      {
        body: statement('tcb-info', 'tcbInfo'),
        headers: { 'TCB-Info-Issuer-Chain': chain('tcb-info') },
      },
    ],
    [
      `${services}/qe/identity`,
      {
        body: statement('qe-identity', 'enclaveIdentity'),
        headers: { 'SGX-Enclave-Identity-Issuer-Chain': chain('qe-identity') },
      },
    ],
    [
      `${hosts.intel}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`,
      { body: pieceOf(sample, 'pck-crl') },
    ],
    [hosts.root, { body: pieceOf(sample, 'root-crl') }],
  ])
}

async function refresh(sample: Sample, out: string, asOf = '2025-06-20T00:00:00Z'): Promise<Ended> {
  const file = join(folder, `${sample.name}.bin`)
  await writeFile(file, sample.evidence.raw)
  const args = [file, '--platform', sample.platform, '--out', join(folder, out)]
  return runCliHere(['collateral', 'refresh', ...args, '--mirror', mirror, '--as-of', asOf])
}

test.each([
  ['tdx', tdxSample(), 'b0c06f000000', 'platform'],
  ['sgx', sgxSample(), '00a067110000', 'processor'],
] as const)(
  'fetches what a quote of %s is judged with, byte for byte',
  async (kind, sample, fmspc, ca) => {
    serveIntel(sample, kind, fmspc, ca)
    const { code, err } = await refresh(sample, kind)
    expect(code, err).toBe(0)
    expect(asked.toSorted()).toEqual([...answers.keys()].toSorted())
    const written = await readdir(join(folder, kind))
    expect(written.toSorted()).toEqual([...sample.evidence.collateral.keys()].toSorted())
    for (const [name, piece] of sample.evidence.collateral) {
      expect(Uint8Array.from(await readFile(join(folder, kind, name))), name).toEqual(piece)
    }
  },
)

test('of an Azure machine asks for what its hardware is judged with, and keeps nothing of a forged one', async () => {
  const tdx = tdxSample()
  serveIntel(tdx, 'tdx', 'b0c06f000000', 'platform')
  // A real quote beside a statement that it does not vouch for.
  const parts = parseAzureEvidence(forgeAzureTdx().raw)
  const forged = encodeAzureEvidence({ ...parts, report: tdx.evidence.raw })
  const collateral = new Map<string, Uint8Array>()
  const sample = {
    ...tdx,
    platform: 'intel-tdx-azure',
    evidence: { raw: forged, collateral },
  } as const
  const { code, out } = await refresh(sample, 'azure')
  expect(asked.toSorted()).toEqual([...answers.keys()].toSorted())
  expect(code).toBe(1)
  expect(out).toMatch(/✓ chain/)
  expect(out).toMatch(/✗ signature.*azure-runtime-data/)
  await expect(readdir(join(folder, 'azure'))).rejects.toThrow('ENOENT')
  asked = []
  const [milan] = snpSamples()
  if (milan === undefined) throw new Error('no sample')
  const snp = encodeAzureEvidence({ ...parts, report: milan.evidence.raw })
  const other = {
    ...milan,
    platform: 'amd-sev-snp-azure',
    evidence: { raw: snp, collateral },
  } as const
  expect((await refresh(other, 'azure', '2026-03-01T00:00:00Z')).err).toContain('kdsintf.amd.com')
  expect(asked[0]).toContain('/kdsintf.amd.com/vcek/v1/Milan/')
})

test('keeps nothing with which the evidence fails', async () => {
  const sample = tdxSample()
  serveIntel(sample, 'tdx', 'b0c06f000000', 'platform')
  answers.set(hosts.root, { body: pieceOf(sample, 'pck-crl') })
  const { code, out } = await refresh(sample, 'failed')
  expect(code).toBe(1)
  expect(out).toMatch(/✗ revocation/)
  await expect(readdir(join(folder, 'failed'))).rejects.toThrow('ENOENT')
})

test('a statement that the service did not sign so is refused by its form', async () => {
  const sample = tdxSample()
  for (const body of ['{}', '{"tcbInfo":{},"signature":"00"}', '<html>']) {
    serveIntel(sample, 'tdx', 'b0c06f000000', 'platform')
    const [path = ''] = answers.keys()
    answers.set(path, { body: Buffer.from(body), headers: { 'TCB-Info-Issuer-Chain': 'x' } })
    const { code, err } = await refresh(sample, 'malformed')
    expect(code, err).toBe(1)
    expect(err).toContain('collateral-malformed')
  }
})

test.each([
  ['a chain that is not there', {}],
  ['a chain that is not percent-encoded', { 'TCB-Info-Issuer-Chain': '%zz' }],
])('%s is refused', async (_, headers) => {
  const sample = tdxSample()
  serveIntel(sample, 'tdx', 'b0c06f000000', 'platform')
  const [[path = '', answer] = []] = answers
  answers.set(path, { body: answer?.body ?? new Uint8Array(0), headers })
  expect((await refresh(sample, 'chain')).err).toContain('collateral-malformed')
})

test('fetches certificates and the list of AMD for the chip and firmware of a report', async () => {
  const [milan] = snpSamples()
  if (milan === undefined) throw new Error('no sample')
  const chip = Buffer.from(milan.evidence.raw.subarray(0x1a0, 0x1e0)).toString('hex')
  const services = '/kdsintf.amd.com/vcek/v1/Milan'
  const chain = [toPem(pieceOf(milan, 'ask')), toPem(pieceOf(milan, 'ark'))].join('')
  answers = new Map<string, Answer>([
    [
      `${services}/${chip}?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219`,
      { body: pieceOf(milan, 'vek') },
    ],
    [`${services}/cert_chain`, { body: Buffer.from(chain) }],
  ])
  // No real list of AMD is at hand, and without one nothing is kept.
  const without = await refresh(milan, 'amd', '2026-03-01T00:00:00Z')
  expect(without).toMatchObject({ code: 69 })
  expect(without.err).toContain('kdsintf.amd.com: 404')
  expect(asked).toEqual([...answers.keys(), `${services}/crl`])
  // A list that is none of the root's is fetched, judged and not kept.
  answers.set(`${services}/crl`, { body: pieceOf(tdxSample(), 'root-crl') })
  expect(await refresh(milan, 'amd', '2026-03-01T00:00:00Z')).toMatchObject({ code: 1 })
  await expect(readdir(join(folder, 'amd'))).rejects.toThrow('ENOENT')
})

test.each([
  ['no verb', [], 64],
  ['no folder', ['refresh', 'x', '--platform', 'intel-tdx'], 64],
  ['another platform', ['refresh', 'x', '--platform', 'abacus', '--out', 'y'], 64],
  [
    'a mirror with a path',
    ['refresh', 'x', '--platform', 'intel-tdx', '--out', 'y', '--mirror', 'http://a/b'],
    64,
  ],
  [
    'a mirror that is none',
    ['refresh', 'x', '--platform', 'intel-tdx', '--out', 'y', '--mirror', 'a'],
    64,
  ],
  ['a file that is not there', ['refresh', 'x', '--platform', 'intel-tdx', '--out', 'y'], 66],
])('%s ends with its exit code', async (_, args, wanted) => {
  const { code, err } = await runCliHere(['collateral', ...args])
  expect(code, err).toBe(wanted)
})

test.each([
  ['a quote that is none', 'intel-tdx', new Uint8Array(10)],
  ['a platform without a service', 'aws-nitro', new Uint8Array(10)],
  ['a report that hides its chip', 'amd-sev-snp', hiddenChip()],
])('%s has no collateral', async (_, platform, raw) => {
  const file = join(folder, 'raw.bin')
  await writeFile(file, raw)
  const args = ['refresh', file, '--platform', platform, '--out', join(folder, 'none')]
  const { code, err } = await runCliHere(['collateral', ...args, '--mirror', mirror])
  expect(code).toBe(64)
  expect(err).toContain('collateral-unsupported')
  expect(asked).toEqual([])
})

function bytesOf(text = ''): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array(0)
}

function hiddenChip(): Uint8Array {
  const raw = snpSamples()[0]?.evidence.raw.slice() ?? new Uint8Array(0)
  return raw.fill(0, 0x1a0, 0x1e0)
}

function toPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const googleKeys =
  '/www.googleapis.com/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com'

test('keeps a set of keys only when one of them signed the token', async () => {
  const file = new URL('../../../vectors/attestation/token.json', import.meta.url)
  const [given] = expandCases(JSON.parse(await readFile(file, 'utf8')))
  if (given === undefined) throw new Error('no vector')
  const keySet = bytesOf(given.collateral['key-set'])
  const sample: Sample = {
    name: 'token',
    platform: given.platform,
    evidence: { raw: bytesOf(given.raw), collateral: new Map() },
    asOfMs: given.asOf,
  }
  const asOf = new Date(given.asOf).toISOString()
  answers = new Map<string, Answer>([[googleKeys, { body: keySet }]])
  const good = await refresh(sample, 'keys', asOf)
  expect(good.code, good.err).toBe(0)
  expect(Uint8Array.from(await readFile(join(folder, 'keys', 'key-set')))).toEqual(keySet)
  const { keys }: { readonly keys: readonly { readonly kid: string; readonly n: string }[] } =
    JSON.parse(Buffer.from(keySet).toString())
  const others = keys.map((key) => ({ ...key, n: `${key.n.slice(0, -4)}AAAA` }))
  for (const [body, code] of [
    [JSON.stringify({ keys: others }), 1],
    ['{"keys":[]}', 1],
    ['<html>', 1],
  ] as const) {
    answers.set(googleKeys, { body: Buffer.from(body) })
    expect((await refresh(sample, 'other-keys', asOf)).code, body).toBe(code)
  }
  await expect(readdir(join(folder, 'other-keys'))).rejects.toThrow('ENOENT')
})
