/** Quotes of a made-up processor under a test root, right or wrong in any one field. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
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
import { seededKey, type TestKey } from './test-key.ts'

/** Evidence and the collateral by name. */
export type TestEvidence = {
  readonly raw: Uint8Array
  readonly collateral: ReadonlyMap<string, Uint8Array>
}

/** JSON objects that are edited before they are signed. */
export type Json = { [name: string]: unknown }

/** What deviates from good evidence. */
export type DcapEdits = {
  readonly version?: 3 | 4 | 5
  /** Names the body of a quote of version 5: 1, 2 or 3. */
  readonly bodyType?: number
  readonly bodySize?: number
  readonly header?: (header: Uint8Array) => void
  readonly body?: (body: Uint8Array) => void
  readonly qeReport?: (report: Uint8Array) => void
  /** After the attestation key was bound into it. */
  readonly boundReport?: (report: Uint8Array) => void
  readonly authData?: Uint8Array
  readonly outerType?: number
  readonly pemType?: number
  /** Bytes behind the certification data, inside and outside of what wraps it. */
  readonly innerTail?: Uint8Array
  readonly outerTail?: Uint8Array
  readonly pem?: (pem: Uint8Array) => Uint8Array
  readonly trailing?: Uint8Array
  /** Bytes that the signature data says it has more than it has. */
  readonly extraLength?: number
  readonly qeSignature?: (signature: Uint8Array) => void
  readonly quoteSignature?: (signature: Uint8Array) => void
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
const processorKey = seededKey('intel processor', 'P-256')
const signerKey = seededKey('intel tcb signer', 'P-256')
const attestationKey = seededKey('intel attestation key', 'P-256')
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
  const processor = certify('processor', 'authority', processorKey, authorityKey, edits.processor, [
    ...signerExtensions(),
    createExtension(oid, false, pckExtension(edits)),
  ])
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
  return { raw: forgeQuote(kind, chain, edits), collateral }
}

/** SHA-256 of the test root in hex. */
export const dcapRoot: string = pinOf(
  certify('root', 'root', rootKey, rootKey, {}, authorityExtensions(1)),
)

/** What good evidence is bound to. */
export const dcapReportData: Uint8Array = concatBytes(seededBytes('dcap/1'), seededBytes('dcap/2'))

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
  const value = (place: string, content: Uint8Array): Uint8Array =>
    derSequence(derObjectIdentifier(`${oid}.${place}`), content)
  const svns = [...componentSvns, pceSvn].map((svn, at) =>
    value(`2.${at + 1}`, derUnsignedInteger(Uint8Array.of(svn))),
  )
  svns.push(value('2.18', derOctetString(Uint8Array.from(componentSvns))))
  edits.pckTcb?.(svns)
  const values = [
    value('1', derOctetString(seededBytes('ppid').subarray(0, 16))),
    value('2', derSequence(...svns)),
    value('3', derOctetString(new Uint8Array(2))),
    value('4', derOctetString(fromHex(fmspc) ?? new Uint8Array())),
    value('5', derElement(0x0a, Uint8Array.of(1))),
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

function forgeQuote(
  kind: 'sgx' | 'tdx',
  chain: readonly Uint8Array[],
  edits: DcapEdits,
): Uint8Array {
  const version = edits.version ?? (kind === 'sgx' ? 3 : 4)
  const bodyType = edits.bodyType ?? (kind === 'sgx' ? 1 : 2)
  const header = new Uint8Array(48)
  header.set([version, 0, 2, 0, kind === 'sgx' ? 0 : 0x81])
  header.set(fromHex('939a7233f79c4ca9940a0db3957f0607') ?? [], 12)
  edits.header?.(header)
  const body = kind === 'sgx' ? enclaveBody() : domainBody(bodyType === 3 ? 648 : 584)
  edits.body?.(body)
  const form =
    version === 5
      ? concatBytes(u16(bodyType), u32(edits.bodySize ?? body.length))
      : new Uint8Array()
  const signed = concatBytes(header, form, body)
  const signature = attestationKey.sign(signed)
  edits.quoteSignature?.(signature)
  const authData = edits.authData ?? seededBytes('auth data')
  const key = attestationKey.point.subarray(1)
  const report = qeReport(sha256(concatBytes(key, authData)), edits)
  const qeSignature = processorKey.sign(report)
  edits.qeSignature?.(qeSignature)
  const nul = Uint8Array.of(0)
  const pem = concatBytes(toPem(chain), nul)
  const inner = concatBytes(
    report,
    qeSignature,
    u16(authData.length),
    authData,
    certificationData(edits.pemType ?? 5, edits.pem?.(pem) ?? pem),
    edits.innerTail ?? new Uint8Array(),
  )
  const rest = version === 3 ? inner : certificationData(edits.outerType ?? 6, inner)
  const data = concatBytes(signature, key, rest, edits.outerTail ?? new Uint8Array())
  const length = u32(data.length + (edits.extraLength ?? 0))
  return concatBytes(signed, length, data, edits.trailing ?? new Uint8Array())
}

function enclaveBody(): Uint8Array {
  const body = new Uint8Array(384)
  body[48] = 0x05
  body.set(seededBytes('mrenclave'), 64)
  body.set(seededBytes('mrsigner'), 128)
  body.set(dcapReportData, 320)
  return body
}

function domainBody(length: number): Uint8Array {
  const body = new Uint8Array(length)
  // Module 1.5: svn 5, version 1; then the platform.
  body.set([5, 1, 3])
  // SEPT_VE_DISABLE.
  body[123] = 0x10
  body.set([0xe7, 0x02, 0x06], 128)
  body.set(seededBytes('mrtd'), 136)
  for (const at of [328, 376, 424, 472]) body.set(seededBytes(`rtmr at ${at}`), at)
  body.set(dcapReportData, 520)
  return body
}

function qeReport(digest: Uint8Array, edits: DcapEdits): Uint8Array {
  const report = new Uint8Array(384)
  report[48] = 0x11
  report.set(seededBytes('quoting enclave signer'), 128)
  report.set([2, 0, 5, 0], 256)
  edits.qeReport?.(report)
  report.set(digest, 320)
  edits.boundReport?.(report)
  return report
}

function certificationData(type: number, data: Uint8Array): Uint8Array {
  return concatBytes(u16(type), u32(data.length), data)
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >> 8)
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24)
}
