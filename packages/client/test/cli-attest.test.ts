import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { encodeEvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { snpSamples } from '../../../test/attestation/samples.ts'
import {
  askedOf,
  enclavePiece,
  setPolicy,
  setReportData,
  setTimeMs,
  snpPiece,
} from '../../../test/vectors/attestation/forge-set.ts'
import { forgeBundle } from '../../../test/vectors/forge.ts'
import { jsonCall, signedAtMs } from '../../../test/vectors/sample-call.ts'
import { runCliHere } from './kit/run-cli-here.ts'
import { runCliProcess, type Ended } from './kit/run-cli-process.ts'

const samples = fileURLToPath(new URL('../../../test/attestation/fixtures/', import.meta.url))
const sample = (path: string): string => join(samples, path)
const attest = (...args: string[]): Promise<Ended> => runCliHere(['attest', 'verify', ...args])
const tdx = [
  sample('tdx-sgx/tdx_quote'),
  '--platform',
  'intel-tdx',
  '--as-of',
  '2025-06-20T00:00:00Z',
  '--collateral',
  sample('tdx-sgx/tdx_quote_collateral.txt'),
]
const milan = [
  sample('sev-snp/ms-milan-report.bin'),
  '--platform',
  'amd-sev-snp',
  '--as-of',
  '2026-03-01T00:00:00Z',
  '--collateral',
  `ark=${sample('sev-snp/amd-milan-ark.der')}`,
  '--collateral',
  `ask=${sample('sev-snp/amd-milan-ask.der')}`,
  '--collateral',
  `vek=${sample('sev-snp/ms-milan-vcek.pem')}`,
]
const measurement =
  '5feee30d6d7e1a29f403d70a4198237ddfb13051a2d6976439487c609388ed7f98189887920ab2fa0096903a0c23fca1'
const policy = {
  evidencePolicy: 1,
  name: 'a Milan',
  platforms: [
    {
      platform: 'amd-sev-snp',
      require: [],
      roots: { vendor: true },
      measurements: [{ measurement }],
      settings: ['smt-allowed', 'rapl-on', 'ciphertext-visible'],
      minVersions: { Milan: { bootloader: 4, snp: 24, microcode: 219 } },
    },
  ],
  maxAgeMs: null,
  maxClockSkewMs: 0,
  machines: 'any',
  minVendors: 1,
}
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-attest-'))
  await writeFile(join(folder, 'policy.json'), JSON.stringify(policy))
  const other = { ...policy, platforms: [{ ...policy.platforms[0], settings: [] }] }
  await writeFile(join(folder, 'strict.json'), JSON.stringify(other))
  await writeFile(join(folder, 'empty.json'), JSON.stringify({ ...policy, platforms: [] }))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

test('without a policy no evidence is valid, and the claims of good evidence are shown', async () => {
  const { code, out } = await runCliProcess(['attest', 'verify', ...tdx])
  expect(code).toBe(2)
  expect(out).toContain('verdict INCOMPLETE   platform intel-tdx   tier none   policy none')
  expect(out).toContain('✓ revocation')
  expect(out).toMatch(/mrtd +91eb2b44d141d4ec/)
  expect(out).toMatch(/firmware +UpToDate\n/)
  expect(out).toMatch(/settings +the safest\n/)
})

test('with a policy and what it is bound to, evidence is valid', async () => {
  const args = [...milan, '--policy', join(folder, 'policy.json'), '--report-data', '00'.repeat(64)]
  const { code, out } = await attest(...args)
  expect(out).toContain('verdict VALID   platform amd-sev-snp   tier production   policy a Milan')
  expect(out).toMatch(/firmware +Milan bootloader 4, tee 0, snp 24, microcode 219\n/)
  expect(out).toContain('collateral-missing: the collateral that it needs was not given (crl)')
  expect(code).toBe(0)
  const json = await attest(...args, '--json')
  expect(JSON.parse(json.out)).toMatchObject({
    verdict: 'valid',
    tier: 'production',
    claims: { measurements: { measurement }, tcb: { versions: { microcode: 219 } } },
  })
})

test('what a policy does not allow is told from what is bad', async () => {
  const strict = await attest(...milan, '--policy', join(folder, 'strict.json'))
  expect(strict.code).toBe(1)
  expect(strict.out).toContain('verdict NOT-ALLOWED')
  expect(strict.out).toContain('✗ platform          setting-not-allowed')
  const late = await attest(...tdx, '--json', '--as-of', '2025-08-20T00:00:00Z')
  expect(late.code).toBe(64)
  const old = await attest(...tdx.with(4, '2025-08-20T00:00:00Z'), '--json')
  expect(old.code).toBe(1)
  expect(JSON.parse(old.out)).toMatchObject({ verdict: 'invalid', policy: '' })
})

test('evidence with its collateral in one file is judged as well', async () => {
  const [, genoa] = snpSamples()
  if (genoa === undefined) throw new Error('a sample is missing')
  const file = join(folder, 'genoa.evidence')
  await writeFile(file, encodePlatformEvidence(genoa.evidence))
  const args = [
    '--platform',
    'amd-sev-snp',
    '--format',
    'evidence',
    '--as-of',
    '2026-03-01T00:00:00Z',
  ]
  const { code, out } = await attest(file, ...args)
  expect(out).toContain('✓ signature')
  expect(code).toBe(2)
})

test.each([
  ['aws-nitro', 'nitro/evervault-valid.bin', 'raw', '2022-10-13T08:58:02Z', 2],
  ['aws-nitro', 'nitro/evervault-debug.bin', 'raw', '2022-10-12T13:50:06Z', 1],
  ['aws-nitro', 'nitro/og-evm-2026-02-12.b64', 'base64', '2026-02-12T17:56:03Z', 2],
  ['aws-nitro', 'nitro/dstack-attest-nitro.bin', 'raw', '2025-12-25T16:31:00Z', 1],
  ['nvidia-gpu', 'nvidia/hopperAttestationReport.txt', 'hex', '2024-01-01T00:00:00Z', 2],
  [
    'nvidia-gpu',
    'nvidia/hopperAttestationReportInvalidSignature.txt',
    'hex',
    '2024-01-01T00:00:00Z',
    1,
  ],
] as const)(
  'the sample %s %s is judged as of its time',
  async (platform, path, format, at, expected) => {
    const collateral =
      platform === 'nvidia-gpu'
        ? ['--collateral', `certificates=${sample('nvidia/hopperCertChain.txt')}`]
        : []
    const args = ['--platform', platform, '--format', format, '--as-of', at, ...collateral]
    const { code, out } = await attest(sample(path), ...args)
    expect(code, out).toBe(expected)
    expect(out).toContain(`platform ${platform}`)
  },
)

test.each([
  ['no verb', ['attest']],
  ['another verb', ['attest', 'judge', 'x']],
  ['no platform', ['attest', 'verify', 'x']],
  ['an unknown platform', ['attest', 'verify', 'x', '--platform', 'abacus']],
  ['a time that is none', ['attest', 'verify', ...milan.with(4, 'yesterday')]],
  ['report data of another length', ['attest', 'verify', ...milan, '--report-data', '00']],
  ['an unknown format', ['attest', 'verify', ...milan, '--format', 'morse']],
  ['a file that is not hex', ['attest', 'verify', ...milan, '--format', 'hex']],
  ['a file that is not base64', ['attest', 'verify', ...milan, '--format', 'base64']],
  ['a file without collateral in it', ['attest', 'verify', ...milan, '--format', 'evidence']],
  [
    'collateral that is no JSON',
    ['attest', 'verify', ...milan, '--collateral', sample('sev-snp/gosev-vcek.der')],
  ],
])('%s is wrong usage', async (_, args) => {
  const { code, err } = await runCliHere(args)
  expect(code, err).toBe(64)
})

test('a policy that accepts nothing is wrong usage, and a file that is not there is said to be', async () => {
  const empty = await attest(...milan, '--policy', join(folder, 'empty.json'))
  expect(empty.code).toBe(64)
  expect(empty.err).toContain('policy-empty')
  const missing = await attest(join(folder, 'nothing'), ...milan.slice(1))
  expect(missing.code).toBe(66)
})

test('a receipt whose keys hardware attests is judged by a policy of evidence', async () => {
  const [milanSample] = snpSamples()
  if (milanSample === undefined) throw new Error('a sample is missing')
  const data = encodePlatformEvidence(milanSample.evidence)
  const evidence = [{ kind: 'amd-sev-snp', nonce: new Uint8Array(32), data }]
  const receipt = join(folder, 'receipt.json')
  await writeFile(receipt, forgeBundle(jsonCall, { bundle: () => ({ evidence }) }))
  const at = new Date(signedAtMs).toISOString()
  const args = ['verify', receipt, '--now', at, '--evidence-policy', join(folder, 'policy.json')]
  const { code, out } = await runCliHere(args)
  expect(code).toBe(1)
  // Genuine, of the code that the policy names, and bound to nobody's keys.
  expect(out).toMatch(/✓ evidence-chain +BU3.16 +amd-sev-snp\n/)
  expect(out).toMatch(/✗ evidence-binding +ST5.5 +evidence-binding-mismatch/)
  expect(out).toMatch(/✗ binding +binding-mismatch/)
  const json = await runCliHere([...args, '--json'])
  expect(JSON.parse(json.out)).toMatchObject({
    verdict: 'invalid',
    evidence: { tier: 'production', claims: { measurements: { measurement } } },
  })
  const empty = await runCliHere(args.with(5, join(folder, 'empty.json')))
  expect(empty.code).toBe(64)
  expect(empty.err).toContain('policy-empty')
})

test('who asks something of hardware is not content with SIMULATED evidence, unless they say so', async () => {
  const receipt = join(folder, 'simulated.json')
  await writeFile(receipt, forgeBundle(jsonCall))
  const args = ['verify', receipt, '--now', new Date(signedAtMs).toISOString()]
  const asked = [...args, '--evidence-policy', join(folder, 'policy.json')]
  expect((await runCliHere(args)).code).toBe(0)
  const { code, out } = await runCliHere(asked)
  expect(code).toBe(1)
  expect(out).toMatch(/✗ evidence-accepted +BU3.6 +evidence-kind-refused/)
  expect((await runCliHere([...asked, '--policy', 'default'])).code).toBe(0)
})

test('a signed policy holds by its key and its digest, and by nothing else', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  const [keyFile, otherFile] = [join(folder, 'key.pem'), join(folder, 'other.pem')]
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await writeFile(otherFile, other.export({ type: 'spki', format: 'pem' }))
  const signed = join(folder, 'policy.cose')
  const sign = ['policy', 'sign', join(folder, 'policy.json'), '--key', keyFile, '--out', signed]
  const made = await runCliHere([...sign, '--issuer', 'https://builds.example', '--days', '1'])
  expect(made.code, made.err).toBe(0)
  const { digest, signer, issuedAt }: { digest: string; signer: string; issuedAt: string } =
    JSON.parse(made.out)
  const judge = (...pins: string[]): Promise<Ended> =>
    attest(...milan, '--report-data', '00'.repeat(64), '--policy', signed, ...pins)
  const good = await judge('--policy-signer', signer, '--policy-digest', digest)
  expect(good.code, good.err).toBe(0)
  expect(good.out).toContain(`policy digest ${digest}`)
  expect((await judge('--policy-signer', otherFile, '--policy-signer', keyFile)).code).toBe(0)
  const since = ['--policy-signer', signer, '--policy-issued-from']
  expect((await judge(...since, issuedAt)).code).toBe(0)
  const later = new Date(Date.parse(issuedAt) + 1000).toISOString()
  for (const [pins, reason] of [
    [[], 'the policy is signed'],
    [['--policy-signer', otherFile], 'policy-signer-unknown'],
    [['--policy-signer', signer, '--policy-digest', '00'.repeat(32)], 'not the one of'],
    [['--policy-signer', 'absent.pem'], 'absent.pem'],
    [[...since, later], 'policy-withdrawn'],
    [[...since, 'yesterday'], '--policy-issued-from takes a time'],
  ] as const) {
    const refused = await judge(...pins)
    expect(refused.code).toBeGreaterThan(2)
    expect(refused.err).toContain(reason)
  }
  const plain = ['--policy', join(folder, 'policy.json')]
  const unsigned = await attest(...milan, ...plain, '--policy-signer', signer)
  expect(unsigned.err).toContain('the policy is not signed')
  const undated = await attest(...milan, ...plain, '--policy-issued-from', issuedAt)
  expect(undated.err).toContain('nothing says when it was made')
  const shown = await runCliHere(['policy', 'show', signed, '--policy-signer', signer])
  expect(JSON.parse(shown.out)).toEqual({ name: 'a Milan', digest, platforms: ['amd-sev-snp'] })
})

test.each([
  [['sign', 'policy.json'], '--key, --issuer, --days and --out'],
  [['sign', 'policy.json', '--key', 'k', '--out', 'o', '--days', '1'], '--issuer takes'],
  [['sign', 'policy.json', '--key', 'k', '--out', 'o', '--issuer', 'a', '--days', '0'], '--days'],
  [
    ['sign', 'empty.json', '--key', 'k', '--out', 'o', '--issuer', 'a', '--days', '1'],
    'policy-empty',
  ],
  [
    ['sign', 'policy.json', '--key', 'policy.json', '--out', 'o', '--issuer', 'a', '--days', '1'],
    'P-256 key',
  ],
  [['show', 'empty.json'], 'policy-empty'],
  [['burn', 'policy.json'], 'sign FILE or show FILE'],
])('policy %j is refused', async (args, reason) => {
  const inFolder = args.map((arg) => (arg.endsWith('.json') ? join(folder, arg) : arg))
  const ended = await runCliHere(['policy', ...inFolder])
  expect(ended.code).toBe(64)
  expect(ended.err).toContain(reason)
})

test('a set of evidence is judged piece by piece, and by how many vendors agree', async () => {
  const file = join(folder, 'set.evidence')
  await writeFile(file, encodeEvidenceSet(new Map([enclavePiece(), snpPiece()])))
  const write = async (minVendors: number): Promise<string> => {
    const path = join(folder, `${minVendors}-vendors.json`)
    await writeFile(path, setPolicy(minVendors, [askedOf.snp, askedOf.enclave]))
    return path
  }
  const asOf = new Date(Math.floor(setTimeMs / 1000) * 1000).toISOString().replace('.000', '')
  const set = [file, '--platform', 'several', '--format', 'evidence', '--as-of', asOf]
  const bound = ['--report-data', Buffer.from(setReportData).toString('hex')]
  const two = await attest(...set, ...bound, '--policy', await write(2))
  expect(two.code).toBe(0)
  expect(two.out).toContain('verdict VALID   platform several   tier SIMULATED')
  expect(two.out).toContain('verdict VALID   platform aws-nitro   tier SIMULATED')
  expect(two.out).toMatch(/platform amd-sev-snp [^]*firmware +Milan bootloader 4/)
  const three = await attest(...set, ...bound, '--policy', await write(3), '--json')
  expect(three.code).toBe(2)
  expect(JSON.parse(three.out)).toMatchObject({
    verdict: 'incomplete',
    platform: 'several',
    pieces: [
      { platform: 'aws-nitro', verdict: 'valid' },
      { platform: 'amd-sev-snp', verdict: 'valid', claims: { tcb: { product: 'Milan' } } },
    ],
  })
  // Not bound to anything that was said.
  expect((await attest(...set, '--policy', await write(2))).code).toBe(2)
  expect((await attest(...set)).code).toBe(64)
  const raw = set.with(4, 'raw')
  expect((await attest(...raw, '--policy', await write(2))).code).toBe(64)
  const other = await attest(
    join(folder, 'policy.json'),
    ...set.slice(1),
    '--policy',
    await write(2),
  )
  expect(other.code).toBe(64)
  expect(other.err).toContain('AT19.1')
})
