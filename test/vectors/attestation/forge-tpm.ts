/** Evidence of a TPM 2.0 under a synthetic root: right by default, wrong in one place by an edit. */
import { createHash } from 'node:crypto'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  encodeMeasuredLog,
  listGatewayEvents,
  replayEvents,
  type MeasuredLog,
} from '@countersign/protocol/attestation/tpm/measured-log'
import { createEnrolment, type Enrolment } from '@countersign/protocol/attestation/tpm/enrolment'
import {
  encodeTpmEvidence,
  type TpmEvidenceParts,
} from '@countersign/protocol/attestation/tpm/tpm-evidence'
import { toLowS, type Es256Signer } from '@countersign/protocol/crypto/es256'
import { derObjectIdentifier, derSequence } from '../../provider/der.ts'
import {
  createCertificate,
  createExtension,
  createRevocationList,
  pinOf,
  planChain,
  type CertificatePlan,
  type RevocationListPlan,
} from './certificate.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** Fields of a TPMT_PUBLIC of an ECC key. */
export type PublicPlan = {
  readonly type: number
  readonly nameAlgorithm: number
  readonly attributes: number
  readonly authPolicy: Uint8Array
  readonly symmetric: Uint8Array
  readonly scheme: Uint8Array
  readonly curve: number
  readonly kdf: number
  readonly x: Uint8Array
  readonly y: Uint8Array
}

/** Fields of a TPMS_ATTEST. */
export type AttestPlan = {
  readonly magic: number
  readonly type: number
  readonly extraData: Uint8Array
  readonly safe: number
  /** Bank and PCRs of each selection; bitmaps have three bytes. */
  readonly selections: readonly (readonly [hash: number, pcrs: readonly number[]])[]
  readonly selectionBytes: number
  readonly pcrDigest: Uint8Array
  readonly tail: Uint8Array
}

/** What is changed. All but `parts` is signed. */
export type TpmEdit = {
  readonly keyName?: string
  readonly curve?: TestKey['curve']
  readonly akPublic?: (plan: PublicPlan) => Partial<PublicPlan>
  readonly publicTail?: Uint8Array
  readonly attest?: (plan: AttestPlan) => Partial<AttestPlan>
  /** PCR values before the digest of them is made. */
  readonly pcrs?: (values: ReadonlyMap<number, Uint8Array>) => ReadonlyMap<number, Uint8Array>
  readonly signerName?: string
  /** TPMT_SIGNATURE from r ‖ s. */
  readonly signature?: (raw: Uint8Array) => Uint8Array
  /** After signing. */
  readonly parts?: (parts: TpmEvidenceParts) => Partial<TpmEvidenceParts>
}

/** The time of judging. */
export const tpmTimeMs = 1_780_000_000_000

/** What the quotes here are bound to. */
const tpmQualifyingData: Uint8Array = sha256(Buffer.from('report data'))

/** What the gateway measured. */
export const tpmLog: MeasuredLog = {
  pcr: 14,
  events: listGatewayEvents(sha256(Buffer.from('build')), sha256(Buffer.from('configuration'))),
}

const yearMs = 365 * 86_400_000
const akName = 'Countersign test TPM AK'
const challengerName = 'Countersign test challenger'
const quotedPcrs = [0, 4, 7, 14]
const dates = Array.from({ length: 3 }, () => [tpmTimeMs - yearMs, tpmTimeMs + yearMs] as const)

/** tcg-kp-EKCertificate. */
export const endorsementUse: Uint8Array = extendedKeyUsage('2.23.133.8.1')

const plans = planChain('Countersign test TPM', dates).map((plan, depth) =>
  depth === 2 ? { ...plan, extensions: [endorsementUse] } : plan,
)

// Made once: most cases have the same.
const defaultChain = plans.map(createCertificate)

/** The challenger of the enrolments here. */
export const testChallenger: Es256Signer = toSigner(seededKey(challengerName, 'P-256'))

/** Pins of the synthetic root and of the challenger. */
export const tpmPins: readonly string[] = [
  pinOf(forgeEndorsementChain()[0] ?? new Uint8Array(0)),
  createHash('sha256').update(testChallenger.publicKey).digest('hex'),
]

/** An extended key usage with these purposes. */
export function extendedKeyUsage(...purposes: readonly string[]): Uint8Array {
  const list = derSequence(...purposes.map((purpose) => derObjectIdentifier(purpose)))
  return createExtension('2.5.29.37', false, list)
}

/** DER of the chain of the EK, root first. */
export function forgeEndorsementChain(
  change?: (plans: readonly CertificatePlan[]) => readonly CertificatePlan[],
): readonly Uint8Array[] {
  return change === undefined ? defaultChain : change(plans).map(createCertificate)
}

/** The list of the authority at a depth of the chain, which revoked these serials. */
export function forgeTpmList(depth: number, part: Partial<RevocationListPlan> = {}): Uint8Array {
  const { subject, key } = plans[depth] ?? { subject: '', key: seededKey('') }
  const [thisUpdateMs, nextUpdateMs] = [tpmTimeMs - 1000, tpmTimeMs + 1000]
  return createRevocationList({
    issuer: subject,
    key,
    thisUpdateMs,
    nextUpdateMs,
    revoked: [],
    ...part,
  })
}

/** The chain of a certificate for the AK itself, as collateral. */
export function forgeAkChain(part: Partial<CertificatePlan> = {}): Uint8Array {
  const chain = planChain('Countersign test TPM', dates).map((plan, depth) =>
    depth === 2 ? { ...plan, key: seededKey(akName, 'P-256'), ...part } : plan,
  )
  return encodeCbor(chain.map(createCertificate))
}

/** A signed enrolment of the AK. */
export function forgeEnrolment(
  part: Partial<Omit<Enrolment, 'challengerKey'>> = {},
  signer: Es256Signer = testChallenger,
): Uint8Array {
  const name = concatBytes(u16(0x0b), sha256(encodePublic(createPublic('P-256', akName))))
  return createEnrolment(
    {
      endorsementChain: forgeEndorsementChain(),
      akName: name,
      notBeforeMs: tpmTimeMs - 1000,
      notAfterMs: tpmTimeMs + 1000,
      ...part,
    },
    signer,
  )
}

/** Collateral: the enrolment and the log, and what is put in their place. */
export function forgeTpmCollateral(
  part: Readonly<Record<string, Uint8Array | undefined>> = {},
): ReadonlyMap<string, Uint8Array> {
  const all = {
    'tpm-enrolment': defaultEnrolment,
    'tpm-measured-log': encodeMeasuredLog(tpmLog),
    ...part,
  }
  return new Map(
    Object.entries(all).flatMap(([name, bytes]) => (bytes === undefined ? [] : [[name, bytes]])),
  )
}

/** Evidence: quote, signature, key and PCR values. */
export function forgeTpmEvidence(edit: TpmEdit = {}): Uint8Array {
  const { keyName = akName, curve = 'P-256' } = edit
  const plan = createPublic(curve, keyName)
  const akPublic = concatBytes(
    encodePublic({ ...plan, ...edit.akPublic?.(plan) }),
    edit.publicTail ?? new Uint8Array(0),
  )
  const pcrs = edit.pcrs?.(defaultPcrs) ?? defaultPcrs
  const pcrValues = [...pcrs].toSorted(([a], [b]) => a - b).map(([, value]) => value)
  const hash = curve === 'P-256' ? 'sha256' : 'sha384'
  const digest = createHash(hash)
    .update(concatBytes(...pcrValues))
    .digest()
  const attestPlan: AttestPlan = {
    magic: 0xff544347,
    type: 0x8018,
    extraData: tpmQualifyingData,
    safe: 1,
    selections: [[0x0b, [...pcrs.keys()]]],
    selectionBytes: 3,
    pcrDigest: Uint8Array.from(digest),
    tail: new Uint8Array(0),
  }
  const attest = encodeAttest({ ...attestPlan, ...edit.attest?.(attestPlan) })
  const raw = seededKey(edit.signerName ?? keyName, curve).sign(attest)
  const signature = edit.signature?.(raw) ?? ecdsaSignature(raw, curve === 'P-256' ? 0x0b : 0x0c)
  const parts = { attest, signature, akPublic, pcrValues }
  return encodeTpmEvidence({ ...parts, ...edit.parts?.(parts) })
}

/** TPMT_SIGNATURE of ECDSA. */
export function ecdsaSignature(raw: Uint8Array, hash: number): Uint8Array {
  const half = raw.length / 2
  return concatBytes(u16(0x18), u16(hash), sized(raw.subarray(0, half)), sized(raw.subarray(half)))
}

/** A map of our own around parts of evidence, with other keys or values. */
export function forgeMap(entries: readonly (readonly [number, CborValue])[]): Uint8Array {
  return encodeCbor(new Map(entries))
}

/** Two bytes, big-endian. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255)
}

/** Four bytes, big-endian. */
export function u32(value: number): Uint8Array {
  return concatBytes(u16(value >>> 16), u16(value & 0xffff))
}

/** A TPM2B. */
export function sized(bytes: Uint8Array): Uint8Array {
  return concatBytes(u16(bytes.length), bytes)
}

const defaultPcrs: ReadonlyMap<number, Uint8Array> = new Map(
  quotedPcrs.map((pcr) => [
    pcr,
    pcr === tpmLog.pcr ? replayEvents(tpmLog.events) : sha256(Buffer.from(`pcr ${pcr}`)),
  ]),
)

const defaultEnrolment = forgeEnrolment()

function createPublic(curve: TestKey['curve'], name: string): PublicPlan {
  const { point } = seededKey(name, curve)
  const width = (point.length - 1) / 2
  const isSmall = curve === 'P-256'
  return {
    type: 0x23,
    nameAlgorithm: 0x0b,
    attributes: 0x00050072,
    authPolicy: new Uint8Array(0),
    symmetric: u16(0x10),
    scheme: concatBytes(u16(0x18), u16(isSmall ? 0x0b : 0x0c)),
    curve: isSmall ? 3 : 4,
    kdf: 0x10,
    x: point.subarray(1, 1 + width),
    y: point.subarray(1 + width),
  }
}

function encodePublic(plan: PublicPlan): Uint8Array {
  return concatBytes(
    u16(plan.type),
    u16(plan.nameAlgorithm),
    u32(plan.attributes),
    sized(plan.authPolicy),
    plan.symmetric,
    plan.scheme,
    u16(plan.curve),
    u16(plan.kdf),
    sized(plan.x),
    sized(plan.y),
  )
}

function encodeAttest(plan: AttestPlan): Uint8Array {
  const selections = plan.selections.map(([hash, pcrs]) => {
    const bitmap = new Uint8Array(plan.selectionBytes)
    for (const pcr of pcrs) bitmap[pcr >> 3] = (bitmap[pcr >> 3] ?? 0) | (1 << (pcr & 7))
    return concatBytes(u16(hash), Uint8Array.of(plan.selectionBytes), bitmap)
  })
  return concatBytes(
    u32(plan.magic),
    u16(plan.type),
    sized(concatBytes(u16(0x0b), sha256(Buffer.from('qualified name')))),
    sized(plan.extraData),
    // Clock, resets, restarts.
    new Uint8Array(16).fill(1),
    Uint8Array.of(plan.safe),
    new Uint8Array(8).fill(2),
    u32(plan.selections.length),
    ...selections,
    sized(plan.pcrDigest),
    plan.tail,
  )
}

/** A key as statements are signed with it. */
export function toSigner({ point, sign }: TestKey): Es256Signer {
  return { publicKey: point.subarray(1), sign: (message) => toLowS(sign(message)) }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(bytes).digest())
}
