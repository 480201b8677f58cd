/**
 * A paid call through a gateway whose keys a TPM 2.0 attests, judged by a stranger in a browser.
 *
 * Software TPM, test CA: the protocol is the real one, and no hardware stands behind it.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ExactEvmScheme } from '@x402/evm'
import { wrapFetchWithPaymentFromConfig } from '@x402/fetch'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startNetwork, type Network } from '../packages/client/src/network/start-network.ts'
import { computeBuildDigest } from '../packages/gateway/src/keys/build-digest.ts'
import {
  serveChallenger,
  type ServedChallenger,
} from '../packages/gateway/test/support/serve-challenger.ts'
import {
  startSwtpm,
  swtpmMissing,
  type RunningSwtpm,
} from '../packages/gateway/test/support/start-swtpm.ts'
import { startLoopbackProvider } from './provider/start.ts'
import { bundleForBrowsers } from './runtimes/browser-bundle.ts'
import { findChromium, runPage } from './runtimes/chromium.ts'
import {
  judgeAttestedReceipt,
  type AttestedReceiptReport,
} from './runtimes/judge-attested-receipt.ts'

type Everything = {
  readonly swtpm: RunningSwtpm
  readonly challenger: ServedChallenger
  readonly provider: Awaited<ReturnType<typeof startLoopbackProvider>>
  readonly network: Network
  readonly dataDir: string
}

const zero = '00'.repeat(32)
/** PCRs 0–9, 11 and 14 are quoted. */
const zeroBoot = { selection: 'ff4b00', pcr0: zero, pcr4: zero, pcr7: zero }

let running: Everything | undefined

beforeAll(async () => {
  if (swtpmMissing !== undefined) return
  const dataDir = await mkdtemp(join(tmpdir(), 'countersign-tpm-'))
  const [swtpm, provider] = await Promise.all([startSwtpm(), startLoopbackProvider({ delayMs: 2 })])
  const challenger = await serveChallenger(swtpm)
  const network = await startNetwork({
    dataDir,
    upstream: { name: 'loopback', baseUrl: provider.url, caFile: provider.caFile, models: ['*'] },
    port: 0,
    priceAtomic: 10_000n,
    attestation: {
      kind: 'tpm',
      tpm: { kind: 'unix', path: swtpm.socketPath },
      enrolmentFile: 'enrolment.cbor',
      challengerUrl: challenger.url,
    },
    environment: process.env,
  })
  running = { swtpm, challenger, provider, network, dataDir }
})

afterAll(async () => {
  if (running === undefined) return
  await running.network.stop()
  await running.challenger.stop()
  await running.provider.stop()
  await running.swtpm.stop()
  await rm(running.dataDir, { recursive: true, force: true })
})

/** A call that is paid on the loopback chain; gives the receipt's bundle. */
async function payForCall({ network }: Everything): Promise<string> {
  const send = wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(network.wallet) }],
  })
  const messages = [{ role: 'user', content: 'Who measured you?' }]
  const response = await send(`${network.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'loopback-echo', messages, stream: true }),
  })
  expect(response.status).toBe(200)
  expect(await response.text()).toContain('data: [DONE]')
  const id = response.headers.get('x-receipt-id') ?? ''
  const authorization = `Bearer ${response.headers.get('x-receipt-token') ?? ''}`
  const url = `${network.baseUrl}/receipts/${id}?wait=60`
  const bundle = await (await fetch(url, { headers: { authorization } })).arrayBuffer()
  return Buffer.from(bundle).toString('base64url')
}

/** What a stranger asks for. The PCRs of a software TPM that booted nothing are zero. */
function createPolicy({ swtpm, challenger }: Everything, changes: object = {}): string {
  const buildDigest = Buffer.from(computeBuildDigest()).toString('hex')
  return JSON.stringify({
    evidencePolicy: 1,
    name: 'software TPM, test CA',
    platforms: [
      {
        platform: 'tpm',
        require: ['freshness'],
        roots: { vendor: false, simulated: [swtpm.rootDigest], service: [challenger.pin] },
        measurements: [{ ...zeroBoot, 'countersign/build': buildDigest }],
        ...changes,
      },
    ],
    maxAgeMs: 86_400_000,
    maxClockSkewMs: 0,
    machines: 'any',
    minVendors: 1,
  })
}

test('a paid call is verified down to the TPM in headless Chromium (software TPM, test CA)', async ({
  skip,
}) => {
  if (running === undefined) return skip(swtpmMissing)
  const chromium = findChromium()
  if (chromium === undefined) return skip('chromium-headless-shell is not installed')
  const inputs = [await payForCall(running), createPolicy(running), `${Date.now()}`] as const
  const entry = `export { judgeAttestedReceipt } from './judge-attested-receipt.ts'`
  const bundle = await bundleForBrowsers(entry, { minify: true })
  const call = 'judgeAttestedReceipt'
  const report: AttestedReceiptReport = JSON.parse(
    await runPage(chromium, { bundle, call, inputs }),
  )
  expect(report.evidence).toMatchObject({ verdict: 'valid', tier: 'simulated' })
  expect(report).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  const passed = report.checks.filter(({ status }) => status === 'passed').map(({ id }) => id)
  expect(passed).toEqual(
    expect.arrayContaining([
      'signature',
      'evidence-chain',
      'evidence-binding',
      'evidence-measurement',
      'evidence-accepted',
    ]),
  )
  expect(report).toEqual(await judgeAttestedReceipt(...inputs))
})

test('the same receipt is worth nothing without the challenger, the root, the measurement or a check that is asked for', async ({
  skip,
}) => {
  if (running === undefined) return skip(swtpmMissing)
  const { swtpm, challenger } = running
  const receipt = await payForCall(running)
  const other = '11'.repeat(32)
  const cases = [
    [{ roots: { vendor: true, simulated: [swtpm.rootDigest] } }, 'tpm-challenger-untrusted'],
    [{ roots: { vendor: true, service: [challenger.pin] } }, 'chain-root-untrusted'],
    [{ measurements: [{ ...zeroBoot, 'countersign/build': other }] }, 'measurement-not-allowed'],
    [{ require: ['revocation'] }, undefined],
  ] as const
  for (const [changes, code] of cases) {
    const policy = createPolicy(running, changes)
    const { evidence, level } = await judgeAttestedReceipt(receipt, policy, `${Date.now()}`)
    expect(level).toBe('L0')
    expect(evidence.verdict, code).toBe(
      code === undefined ? 'incomplete' : code.endsWith('-not-allowed') ? 'not-allowed' : 'invalid',
    )
    const codes = evidence.checks.flatMap((check) =>
      check.status === 'failed' ? [check.code] : [],
    )
    if (code !== undefined) expect(codes).toContain(code)
  }
})

test('fresh evidence for a nonce comes from the same TPM, and the enrolment happened once', async ({
  skip,
}) => {
  if (running === undefined) return skip(swtpmMissing)
  const { network, challenger } = running
  const nonce = randomBytes(32).toString('hex')
  const answers = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const response = await fetch(`${network.baseUrl}/attestation?nonce=${nonce}`)
      expect(response.status).toBe(200)
      const answer: { readonly evidence: { readonly kind: string; readonly data: string } } =
        JSON.parse(await response.text())
      return answer.evidence
    }),
  )
  expect(new Set(answers.map(({ data }) => data)).size).toBe(5)
  expect(answers.every(({ kind }) => kind === 'tpm')).toBe(true)
  expect(challenger.asked.map((path) => path.split('/')[1])).toEqual(['challenge', 'conclude'])
})
