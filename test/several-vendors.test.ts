/**
 * A gateway that two vendors' evidence stands behind: a TDX quote from dstack's agent (emulator, test root) and a TPM
 * 2.0 (software TPM, test CA). A paid call, and a policy that asks both vendors.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ExactEvmScheme } from '@x402/evm'
import { wrapFetchWithPaymentFromConfig } from '@x402/fetch'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countersignFetch } from '@countersign/client'
import { createAttestedFetch } from '@countersign/client/attested-fetch'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import { createEvidenceVerifier } from '@countersign/protocol/attestation/verify-evidence'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { verify } from '@countersign/protocol/verify/verify'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { runCliHere } from '../packages/client/test/kit/run-cli-here.ts'
import { runCliProcess } from '../packages/client/test/kit/run-cli-process.ts'
import { startNetwork, type Network } from '../packages/client/src/network/start-network.ts'
import { computeBuildDigest } from '../packages/gateway/src/keys/build-digest.ts'
import { createChatBody } from '../packages/gateway/test/support/chat-call.ts'
import { serveChallenger } from '../packages/gateway/test/support/serve-challenger.ts'
import { serveText, type TextService } from '../packages/gateway/test/support/serve-text.ts'
import { disposeGateway, startGateway } from '../packages/gateway/test/support/start-gateway.ts'
import { startSwtpm, swtpmMissing } from '../packages/gateway/test/support/start-swtpm.ts'
import { startLoopbackProvider } from './provider/start.ts'
import { dcapRoot, forgeDcap, type Json } from './vectors/attestation/dcap-evidence.ts'
import { seededBytes } from './vectors/signers.ts'

type Everything = {
  readonly swtpm: Awaited<ReturnType<typeof startSwtpm>>
  readonly challenger: Awaited<ReturnType<typeof serveChallenger>>
  readonly provider: Awaited<ReturnType<typeof startLoopbackProvider>>
  readonly dstack: TextService
  readonly network: Network
  readonly folder: string
}

const dayMs = 86_400_000
const zero = '00'.repeat(32)
const seeded = (text: string): string => `${toHex(seededBytes(text))}${'00'.repeat(16)}`
const registers = [328, 376, 424, 472].map((at, index) => [`rtmr${index}`, seeded(`rtmr at ${at}`)])
const tdxCode = { mrtd: seeded('mrtd'), ...Object.fromEntries(registers) }
let running: Everything | undefined

function toSecond(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/\.\d+/, '')
}

/** Collateral that is in force now, as an operator keeps it. */
function collateralNow(): ReadonlyMap<string, Uint8Array> {
  const [thisUpdateMs, nextUpdateMs] = [Date.now() - dayMs, Date.now() + dayMs]
  const renew = (json: Json): void => {
    json['issueDate'] = toSecond(thisUpdateMs)
    json['nextUpdate'] = toSecond(nextUpdateMs)
  }
  const list = { thisUpdateMs, nextUpdateMs }
  const edits = { tcbInfo: renew, qeIdentity: renew, rootList: list, pckList: list }
  return forgeDcap('tdx', edits).collateral
}

async function serveDstack(socketPath: string): Promise<TextService> {
  return await serveText(({ body }) => {
    const { report_data: asked = '' }: { report_data?: string } = JSON.parse(body)
    const { raw } = forgeDcap('tdx', { body: (bytes) => bytes.set(fromHex(asked) ?? [], 520) })
    const answer = { quote: toHex(raw), event_log: '[]', report_data: asked, vm_config: '{}' }
    return { status: 200, headers: {}, body: JSON.stringify(answer) }
  }, socketPath)
}

/** The member `attestation`: the TPM measures each configuration into a PCR of its own. */
function attestationOf(
  { swtpm, challenger, folder }: Pick<Everything, 'swtpm' | 'challenger' | 'folder'>,
  applicationPcr: number,
): Readonly<Record<string, unknown>> {
  return {
    kind: 'several',
    sources: [
      {
        kind: 'dstack',
        socketPath: join(folder, 'dstack.sock'),
        collateralDir: join(folder, 'collateral'),
      },
      {
        kind: 'tpm',
        tpm: { kind: 'unix', path: swtpm.socketPath },
        applicationPcr,
        enrolmentFile: join(folder, 'enrolment.cbor'),
        challengerUrl: challenger.url,
      },
    ],
  }
}

beforeAll(async () => {
  if (swtpmMissing !== undefined) return
  const folder = await mkdtemp(join(tmpdir(), 'countersign-several-'))
  await mkdir(join(folder, 'collateral'))
  for (const [name, bytes] of collateralNow()) {
    await writeFile(join(folder, 'collateral', name), bytes)
  }
  const [swtpm, provider] = await Promise.all([startSwtpm(), startLoopbackProvider({ delayMs: 2 })])
  const challenger = await serveChallenger(swtpm)
  const dstack = await serveDstack(join(folder, 'dstack.sock'))
  const network = await startNetwork({
    dataDir: folder,
    upstream: { name: 'loopback', baseUrl: provider.url, caFile: provider.caFile, models: ['*'] },
    port: 0,
    priceAtomic: 10_000n,
    attestation: attestationOf({ swtpm, challenger, folder }, 14),
    environment: process.env,
  })
  running = { swtpm, challenger, provider, dstack, network, folder }
})

afterAll(async () => {
  if (running === undefined) return
  await running.network.stop()
  await running.dstack.stop()
  await running.challenger.stop()
  await running.provider.stop()
  await running.swtpm.stop()
  await rm(running.folder, { recursive: true, force: true })
})

/** A call that is paid on the loopback chain; gives the receipt's bundle. */
async function payForCall({ network }: Everything): Promise<Uint8Array> {
  const send = wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(network.wallet) }],
  })
  const messages = [{ role: 'user', content: 'Who vouches for you?' }]
  const response = await send(`${network.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'loopback-echo', messages, stream: true }),
  })
  expect(response.status).toBe(200)
  await response.text()
  const id = response.headers.get('x-receipt-id') ?? ''
  const authorization = `Bearer ${response.headers.get('x-receipt-token') ?? ''}`
  const url = `${network.baseUrl}/receipts/${id}?wait=60`
  return new Uint8Array(await (await fetch(url, { headers: { authorization } })).arrayBuffer())
}

/** What a stranger asks: Intel and the TPM, each with its code. */
function policyOf(
  { swtpm, challenger }: Everything,
  { minVendors = 2, selection = 'ff4b00', build = toHex(computeBuildDigest()) } = {},
): Uint8Array {
  const tdx = {
    platform: 'intel-tdx',
    require: ['freshness'],
    roots: { vendor: false, simulated: [dcapRoot] },
    measurements: [tdxCode],
  }
  const tpm = {
    platform: 'tpm',
    require: ['freshness'],
    roots: { vendor: false, simulated: [swtpm.rootDigest], service: [challenger.pin] },
    measurements: [{ selection, pcr0: zero, pcr4: zero, pcr7: zero, 'countersign/build': build }],
  }
  return Buffer.from(
    JSON.stringify({
      evidencePolicy: 1,
      name: 'two vendors, test roots',
      platforms: [tdx, tpm],
      maxAgeMs: dayMs,
      maxClockSkewMs: 0,
      machines: 'any',
      minVendors,
    }),
  )
}

async function judge(bundle: Uint8Array, policy: Uint8Array): Promise<Verdict> {
  return await verify(bundle, defaultPolicy, Date.now(), {}, createEvidenceVerifier(policy))
}

test('a paid call is verified down to two vendors who agree (emulator and software TPM)', async ({
  skip,
}) => {
  if (running === undefined) return skip(swtpmMissing)
  const bundle = await payForCall(running)
  const verdict = await judge(bundle, policyOf(running))
  expect(verdict.evidence?.pieces?.map(({ platform, verdict: own }) => [platform, own])).toEqual([
    ['tpm', 'valid'],
    ['intel-tdx', 'valid'],
  ])
  expect(verdict).toMatchObject({
    verdict: 'valid',
    level: 'L1-SIMULATED',
    evidence: { verdict: 'valid', tier: 'simulated', platform: 'several' },
  })
  const three = await judge(bundle, policyOf(running, { minVendors: 3 }))
  expect(three).toMatchObject({ verdict: 'incomplete', level: 'L0' })
  // The TPM vouches for another build: its vendor does not count, and one is not two.
  const other = await judge(bundle, policyOf(running, { build: '11'.repeat(32) }))
  expect(other).toMatchObject({ verdict: 'invalid', evidence: { verdict: 'not-allowed' } })
  const one = await judge(bundle, policyOf(running, { build: '11'.repeat(32), minVendors: 1 }))
  expect(one.verdict).toBe('valid')
  const file = join(running.folder, 'answer.countersign.json')
  const policyFile = join(running.folder, 'evidence-policy.json')
  await writeFile(file, bundle)
  await writeFile(policyFile, policyOf(running))
  const now = toSecond(Date.now())
  const cli = await runCliHere(['verify', file, '--now', now, '--evidence-policy', policyFile])
  expect(cli.code).toBe(0)
  expect(cli.out).toContain('platform several   tier SIMULATED')
  expect(cli.out).toContain('platform intel-tdx   tier SIMULATED')
})

test('clients that ask for two vendors speak to the gateway, and those that ask for three do not', async ({
  skip,
}) => {
  if (running === undefined) return skip(swtpmMissing)
  const { provider, folder } = running
  const tls = { port: 0, tls: { names: ['127.0.0.1'] } }
  const attestation = attestationOf(running, 13)
  const gateway = await startGateway({ provider, config: { listen: tls, attestation } })
  // PCRs 0–9, 11 and 13.
  const asked = { selection: 'ff2b00' }
  const judgeEvidence = createEvidenceVerifier(policyOf(running, asked))
  const body = createChatBody({ model: 'loopback-echo', stream: true, prompt: 'Hi' }).toString()
  const call = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  const verdicts: AttestationVerdict[] = []
  const attested = createAttestedFetch({
    judgeEvidence,
    onAttestation: (verdict) => verdicts.push(verdict),
  })
  const strict = createAttestedFetch({
    judgeEvidence: createEvidenceVerifier(policyOf(running, { ...asked, minVendors: 3 })),
  })
  try {
    const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch: attested, judgeEvidence })
    const response = await sdk(`${gateway.url}/v1/chat/completions`, call)
    expect(await response.text()).toContain('data: ')
    const { verdict } = await sdk.receiptOf(response)
    expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
    expect(verdicts[0]?.evidence).toMatchObject({ platform: 'several', verdict: 'valid' })
    await expect(strict(`${gateway.url}/v1/models`, {})).rejects.toMatchObject({
      code: 'attestation-refused',
    })
    const sealed = createSealedFetch({ judgeEvidence, fetch: attested })
    const answer = await sealed(`${gateway.url}/v1/chat/completions`, call)
    expect(await answer.text()).toContain('data: ')
    const policyFile = join(folder, 'attested-policy.json')
    await writeFile(policyFile, policyOf(running, asked))
    const out = join(folder, 'called.countersign.json')
    const common = ['--base-url', `${gateway.url}/v1`, '--model', 'loopback-echo', '--out', out]
    const cli = await runCliProcess(
      ['call', '--attested', ...common, '--evidence-policy', policyFile, 'Hi'],
      { COUNTERSIGN_API_KEY: 'unused' },
    )
    expect(cli.err).toContain('VALID')
    expect(cli.code).toBe(0)
  } finally {
    attested.close()
    strict.close()
    await disposeGateway(gateway)
  }
})
