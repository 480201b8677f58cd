/** ST5: evidence that is none, or proves something else. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import type { ErrorCode } from '@countersign/protocol/errors'
import type { CheckId } from '@countersign/protocol/verify/policy'
import type { BundleCase } from '../bundle-case.ts'
import { add, append, remove, set, signatureOf, tagged, toHighS, zeros } from '../edits.ts'
import { forgeBundle, strangerSigner, type EvidenceEdits } from '../forge.ts'
import { policyFile } from '../policy-file.ts'
import { smallCall } from '../sample-call.ts'
import { seededBytes } from '../signers.ts'

type Row = readonly [name: string, clause: string, evidence: EvidenceEdits]

const malformed: readonly Row[] = [
  ['no bytes', 'ST5.3', { bytes: () => zeros(0) }],
  ['4,097 bytes', 'ST5.3', { bytes: () => zeros(4097) }],
  ['a byte after it', 'ST5.3', { bytes: append(0) }],
  ['version 2', 'ST5.3', { outer: set(1, 2) }],
  ['no root', 'ST5.3', { outer: remove(2) }],
  ['a root of 65 bytes', 'ST5.3', { outer: set(2, zeros(65)) }],
  ['an unknown member', 'ST5.3', { outer: set(5, 1) }],
  [
    'an endorsement without its tag',
    'ST5.3',
    { endorsement: { signed: (bytes) => bytes.slice(1) } },
  ],
  [
    'a quote of three parts',
    'ST5.3',
    { quote: { signed: () => tagged([zeros(0), new Map(), zeros(0)]) } },
  ],
  [
    'the content type of the other part',
    'ST5.3',
    { quote: { header: set(3, 'application/countersign-simulated-endorsement+cbor') } },
  ],
  ['alg ES384 in the quote', 'ST5.3', { quote: { header: set(1, -35) } }],
  ['a kid of 31 bytes', 'ST5.3', { quote: { header: set(4, zeros(31)) } }],
  ['version 2 of the endorsement', 'ST5.3', { endorsement: { payload: set(1, 2) } }],
  ['a platform key of 32 bytes', 'ST5.3', { endorsement: { payload: set(2, zeros(32)) } }],
  ['a date as text', 'ST5.3', { endorsement: { payload: set(3, '') } }],
  ['report data of 32 bytes', 'ST5.3', { quote: { payload: set(2, zeros(32)) } }],
  ['a measurement of 48 bytes', 'ST5.3', { quote: { payload: set(3, zeros(48)) } }],
  ['an unknown member of the quote', 'ST5.3', { quote: { payload: set(9, 1) } }],
]

const broken: readonly Row[] = [
  ['an endorsement by another root', 'ST5.4', { endorsement: { signer: strangerSigner } }],
  ['a quote by another platform', 'ST5.4', { quote: { signer: strangerSigner } }],
  [
    'another kid in the endorsement',
    'ST5.4',
    { endorsement: { header: set(4, seededBytes('other')) } },
  ],
  ['another kid in the quote', 'ST5.4', { quote: { header: set(4, seededBytes('other')) } }],
  ['another root key', 'ST5.4', { outer: set(2, strangerSigner.publicKey) }],
  ['a root that is no point', 'ST5.4', { outer: set(2, zeros(64)) }],
  ['an endorsement with a high s', 'ST5.4', { endorsement: { signed: signatureOf(toHighS) } }],
  ['a quote without a signature', 'ST5.4', { quote: { signed: signatureOf(() => zeros(0)) } }],
  [
    'an expired quote that nobody signed, judged first',
    'ST5.4',
    { quote: { payload: set(4, 0), signer: strangerSigner } },
  ],
]

const expired: readonly Row[] = [
  ['a quote before its endorsement', 'ST5.4', { quote: { payload: add(4, -1) } }],
  ['a quote after its endorsement', 'ST5.4', { quote: { payload: add(4, 86_400_001) } }],
]

/** All cases. */
export function evidenceCases(): readonly BundleCase[] {
  const chain = (rows: readonly Row[], code: ErrorCode): readonly BundleCase[] =>
    rows.map((row) => ({
      ...toCase(row, 'evidence-chain', code),
      open: { 'evidence-binding': 'blocked', 'evidence-measurement': 'blocked' },
    }))
  return [
    ...chain(malformed, 'evidence-malformed'),
    ...chain(broken, 'evidence-chain-invalid'),
    ...chain(expired, 'evidence-expired'),
    toCase(
      ['another nonce', 'ST5.5', { nonce: seededBytes('other nonce') }],
      'evidence-binding',
      'evidence-binding-mismatch',
    ),
    toCase(
      [
        'the report data of another keyset',
        'ST5.5',
        { quote: { payload: set(2, concatBytes(zeros(32), zeros(32))) } },
      ],
      'evidence-binding',
      'evidence-binding-mismatch',
    ),
    toCase(
      ['another build', 'ST5.6', { quote: { payload: set(3, seededBytes('other build')) } }],
      'evidence-measurement',
      'evidence-measurement-mismatch',
    ),
    toCase(
      ['a kind that nobody knows', 'BU3.6', { kind: 'Simulated' }],
      'evidence-accepted',
      'evidence-kind-refused',
    ),
    {
      name: 'evidence: a quote in its last millisecond',
      clause: 'ST5.4',
      bundle: forgeBundle(smallCall, { evidence: { quote: { payload: add(4, 86_400_000) } } }),
      verdict: 'valid',
      level: 'L1-SIMULATED',
    },
    {
      ...toCase(
        ['broken evidence under a list of roots', 'BU3.6', { bytes: append(0) }],
        'evidence-chain',
        'evidence-malformed',
      ),
      policy: policyFile({ evidence: [{ kind: 'simulated', roots: ['00'.repeat(32)] }] }),
      open: { 'evidence-accepted': 'blocked' },
    },
  ]
}

function toCase([name, clause, evidence]: Row, check: CheckId, code: ErrorCode): BundleCase {
  return {
    name: `evidence: ${name}`,
    clause,
    bundle: forgeBundle(smallCall, { evidence }),
    verdict: 'invalid',
    level: 'L0',
    failed: { [check]: code },
  }
}
