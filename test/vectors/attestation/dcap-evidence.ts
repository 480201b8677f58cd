/** Quotes of a made-up processor under a test root, right or wrong in any one field. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  derElement,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derUnsignedInteger,
} from '../../provider/der.ts'
import { seededBytes } from '../signers.ts'
import {
  authorityExtensions,
  createCertificate,
  createExtension,
  createRevocationList,
  pinOf,
  signerExtensions,
  toPem,
  type CertificatePlan,
  type RevocationListPlan,
} from './certificate.ts'
import { dcapProcessorKey, forgeQuote, type QuoteEdits } from './dcap-quote.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** Evidence and the collateral by name. */
export type TestEvidence = {
  readonly raw: Uint8Array
  readonly collateral: ReadonlyMap<string, Uint8Array>
}

/** JSON objects that are edited before they are signed. */
export type Json = { [name: string]: unknown }

/** What deviates from good evidence. */
export type DcapEdits = QuoteEdits & {
  readonly root?: Partial<CertificatePlan>
  readonly authority?: Partial<CertificatePlan>
  readonly processor?: Partial<CertificatePlan>
  readonly signer?: Partial<CertificatePlan>
  /** The content of the processor's extension. */
  readonly pckExtension?: (values: Uint8Array[]) => void
  readonly pckTcb?: (values: Uint8Array[]) => void
  readonly chain?: (certificates: Uint8Array[]) => void
  readonly signerChain?: (certificates: Uint8Array[]) => void
  readonly tcbInfo?: (json: Json) => void
  readonly qeIdentity?: (json: Json) => void
  /** The text of a statement before it is signed. */
  readonly tcbText?: (text: string) => string
  readonly rootList?: Partial<RevocationListPlan>
  readonly pckList?: Partial<RevocationListPlan>
  readonly collateral?: (collateral: Map<string, Uint8Array>) => void
}

/** When good evidence is judged. */
export const dcapAsOfMs: number = Date.parse('2026-06-01T00:00:00Z')

const dayMs = 86_400_000
const rootKey = seededKey('intel root', 'P-256')
const authorityKey = seededKey('intel pck authority', 'P-256')
const signerKey = seededKey('intel tcb signer', 'P-256')
const oid = '1.2.840.113741.1.13.1'
const componentSvns = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]
const pceSvn = 11
const fmspc = '00112233aabb'

const dates = { notBeforeMs: dcapAsOfMs - 300 * dayMs, notAfterMs: dcapAsOfMs + 3000 * dayMs }
const names = {
  root: 'Test SGX Root CA',
  authority: 'Test SGX PCK Platform CA',
  processor: 'Test SGX PCK Certificate',
  signer: 'Test SGX TCB Signing',
}

/** Serials of the certificates. */
export const dcapSerials = { root: 1, authority: 2, processor: 3, signer: 4 } as const

/** Good evidence of the kind, but for the edits. */
export function forgeDcap(kind: 'sgx' | 'tdx', edits: DcapEdits = {}): TestEvidence {
  const root = certify('root', 'root', rootKey, rootKey, edits.root, authorityExtensions(1))
  const authority = certify(
    'authority',
    'root',
    authorityKey,
    rootKey,
    edits.authority,
    authorityExtensions(0),
  )
  const processor = certify(
    'processor',
    'authority',
    dcapProcessorKey,
    authorityKey,
    edits.processor,
    [...signerExtensions(), createExtension(oid, false, pckExtension(edits))],
  )
  const signer = certify('signer', 'root', signerKey, rootKey, edits.signer, signerExtensions())
  const chain = [processor, authority, root]
  edits.chain?.(chain)
  const signerChain = [signer, root]
  edits.signerChain?.(signerChain)
  const collateral = new Map([
    ...state('tcb-info', tcbInfoText(kind, edits), signerChain),
    ...state('qe-identity', qeIdentityText(kind, edits), signerChain),
    ['root-crl', list('root', rootKey, edits.rootList)],
    ['pck-crl', list('authority', authorityKey, edits.pckList)],
  ])
  edits.collateral?.(collateral)
  return { raw: forgeQuote(kind, toPem(chain), edits), collateral }
}

/** SHA-256 of the test root in hex. */
export const dcapRoot: string = pinOf(
  certify('root', 'root', rootKey, rootKey, {}, authorityExtensions(1)),
)

function certify(
  subject: keyof typeof names,
  issuer: keyof typeof names,
  key: TestKey,
  issuerKey: TestKey,
  edits: Partial<CertificatePlan> = {},
  extensions: readonly Uint8Array[] = [],
): Uint8Array {
  return createCertificate({
    subject: names[subject],
    issuer: names[issuer],
    key,
    issuerKey,
    ...dates,
    serial: dcapSerials[subject],
    extensions,
    ...edits,
  })
}

function list(
  issuer: keyof typeof names,
  key: TestKey,
  edits: Partial<RevocationListPlan> = {},
): Uint8Array {
  return createRevocationList({
    issuer: names[issuer],
    key,
    thisUpdateMs: dcapAsOfMs - dayMs,
    nextUpdateMs: dcapAsOfMs + 29 * dayMs,
    revoked: [{ serial: 99, atMs: dcapAsOfMs - 2 * dayMs }],
    ...edits,
  })
}

function pckExtension(edits: DcapEdits): Uint8Array {
  const svns = [...componentSvns, pceSvn].map((svn, at) =>
    pckValue(`2.${at + 1}`, derUnsignedInteger(Uint8Array.of(svn))),
  )
  svns.push(pckValue('2.18', derOctetString(Uint8Array.from(componentSvns))))
  edits.pckTcb?.(svns)
  const values = [
    pckValue('1', derOctetString(seededBytes('ppid').subarray(0, 16))),
    pckValue('2', derSequence(...svns)),
    pckValue('3', derOctetString(new Uint8Array(2))),
    pckValue('4', derOctetString(fromHex(fmspc) ?? new Uint8Array())),
    pckValue('5', derElement(0x0a, Uint8Array.of(1))),
  ]
  edits.pckExtension?.(values)
  return derSequence(...values)
}

function state(
  name: string,
  text: string,
  chain: readonly Uint8Array[],
): readonly [string, Uint8Array][] {
  const bytes = encodeUtf8(text)
  return [
    [name, bytes],
    [`${name}-signature`, signerKey.sign(bytes)],
    [`${name}-chain`, toPem(chain)],
  ]
}

const validity = {
  issueDate: '2026-05-20T00:00:00Z',
  nextUpdate: '2026-06-19T00:00:00Z',
  tcbEvaluationDataNumber: 17,
}
const moduleIdentity = {
  mrsigner: '0'.repeat(96),
  attributes: '0'.repeat(16),
  attributesMask: 'F'.repeat(16),
}

function tcbInfoText(kind: 'sgx' | 'tdx', edits: DcapEdits): string {
  const level = (svns: readonly number[], tdx: readonly number[], rest: Json): Json => ({
    tcb: {
      sgxtcbcomponents: svns.map((svn) => ({ svn })),
      pcesvn: pceSvn,
      ...(kind === 'tdx' ? { tdxtcbcomponents: tdx.map((svn) => ({ svn })) } : {}),
    },
    tcbDate: '2026-01-01T00:00:00Z',
    ...rest,
  })
  const zeros = componentSvns.map(() => 0)
  const json: Json = {
    id: kind.toUpperCase(),
    version: 3,
    ...validity,
    fmspc: fmspc.toUpperCase(),
    pceId: '0000',
    tcbType: 0,
    ...(kind === 'tdx'
      ? {
          tdxModule: moduleIdentity,
          tdxModuleIdentities: [
            {
              id: 'TDX_01',
              ...moduleIdentity,
              tcbLevels: [
                { tcb: { isvsvn: 4 }, tcbDate: '2026-01-01T00:00:00Z', tcbStatus: 'UpToDate' },
                { tcb: { isvsvn: 2 }, tcbDate: '2025-01-01T00:00:00Z', tcbStatus: 'OutOfDate' },
              ],
            },
          ],
        }
      : {}),
    tcbLevels: [
      level(componentSvns, [9, 9, 3, ...zeros.slice(3)], { tcbStatus: 'UpToDate' }),
      level([2, ...componentSvns.slice(1)], [0, 0, 2, ...zeros.slice(3)], {
        tcbStatus: 'SWHardeningNeeded',
        advisoryIDs: ['INTEL-SA-00001'],
      }),
      level([1, ...componentSvns.slice(1)], [0, 0, 1, ...zeros.slice(3)], {
        tcbStatus: 'OutOfDate',
        advisoryIDs: ['INTEL-SA-00001', 'INTEL-SA-00002'],
      }),
    ],
  }
  edits.tcbInfo?.(json)
  const text = JSON.stringify(json)
  return edits.tcbText?.(text) ?? text
}

function qeIdentityText(kind: 'sgx' | 'tdx', edits: DcapEdits): string {
  const json: Json = {
    id: kind === 'tdx' ? 'TD_QE' : 'QE',
    version: 2,
    ...validity,
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    attributes: `11${'0'.repeat(30)}`,
    attributesMask: `FBFFFFFFFFFFFFFF${'0'.repeat(16)}`,
    mrsigner: toHex(seededBytes('quoting enclave signer')).toUpperCase(),
    isvprodid: 2,
    tcbLevels: [
      { tcb: { isvsvn: 4 }, tcbDate: '2026-01-01T00:00:00Z', tcbStatus: 'UpToDate' },
      {
        tcb: { isvsvn: 2 },
        tcbDate: '2025-01-01T00:00:00Z',
        tcbStatus: 'OutOfDate',
        advisoryIDs: ['INTEL-SA-00003'],
      },
    ],
  }
  edits.qeIdentity?.(json)
  return JSON.stringify(json)
}

function pckValue(place: string, content: Uint8Array): Uint8Array {
  return derSequence(derObjectIdentifier(`${oid}.${place}`), content)
}
