/** Nitro documents under a synthetic root: right by default, wrong in one place by an edit. */
import { createHash } from 'node:crypto'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborKey, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  createCertificate,
  createRevocationList,
  pinOf,
  planChain,
  type CertificatePlan,
  type RevocationListPlan,
} from './certificate.ts'
import { seededKey } from './test-key.ts'

/** The parts of a COSE_Sign1, each as it is written. */
export type Envelope = {
  readonly tag: Uint8Array
  readonly head: Uint8Array
  readonly header: Uint8Array
  readonly unprotected: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly tail: Uint8Array
}

/** Members of the payload in the order of writing: keys can occur twice, values can be any CBOR. */
export type Members = readonly (readonly [CborKey, CborValue])[]

/** What is changed, from the inside out. What is changed before signing is signed. */
export type NitroEdit = {
  readonly plans?: (plans: readonly CertificatePlan[]) => readonly CertificatePlan[]
  readonly certificates?: (certificates: readonly Uint8Array[]) => readonly Uint8Array[]
  readonly pcrs?: (pcrs: Members) => Members
  readonly members?: (members: Members) => Members
  readonly isIndefinite?: boolean
  /** The payload's bytes, before signing. */
  readonly payload?: (payload: Uint8Array) => Uint8Array
  /** Before signing. */
  readonly header?: Uint8Array
  readonly signerName?: string
  /** After signing. */
  readonly envelope?: (envelope: Envelope) => Partial<Envelope>
}

/** The time of the document, and of judging. */
export const nitroTimeMs = 1_780_000_000_000

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const chainName = 'Countersign test Nitro'
const instanceId = 'i-0123456789abcdef0'
const certificateDates = [
  [nitroTimeMs - 1000 * dayMs, nitroTimeMs + 9000 * dayMs],
  [nitroTimeMs - 10 * dayMs, nitroTimeMs + 10 * dayMs],
  [nitroTimeMs - 12 * hourMs, nitroTimeMs + 12 * hourMs],
  [nitroTimeMs - hourMs, nitroTimeMs + 2 * hourMs],
] as const
const es384 = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)
const plans = planChain(chainName, certificateDates)

/** The pin of the synthetic root. */
export const nitroTestRoot: string = pinOf(createCertificate(planAt(0)))

/** A document of an enclave. */
export function forgeEnclave(edit: NitroEdit = {}): Uint8Array {
  return forge('pcrs', `${instanceId}-enc0123456789abcdef`, enclavePcrs(), edit)
}

/** A document of NitroTPM. */
export function forgeTpm(edit: NitroEdit = {}): Uint8Array {
  const pcrs = Array.from({ length: 24 }, (_, index) => [index, digest(`tpm ${index}`)] as const)
  return forge('nitrotpm_pcrs', `${instanceId}-tpm0000000000000000`, pcrs, edit)
}

/** The lists of the root and of the first intermediate, as collateral. */
export function forgeLists(
  edit: (plan: RevocationListPlan, depth: number) => RevocationListPlan = (plan) => plan,
): Map<string, Uint8Array> {
  const lists = ['root-crl', 'intermediate-crl'].map((part, depth) => {
    const { subject, key } = planAt(depth)
    const plan = {
      issuer: subject,
      key,
      thisUpdateMs: nitroTimeMs - dayMs,
      nextUpdateMs: nitroTimeMs + dayMs,
      revoked: [],
    }
    return [part, createRevocationList(edit(plan, depth))] as const
  })
  return new Map(lists)
}

/** SHA-384 of a text: some measurement. */
export function digest(text: string): Uint8Array {
  return Uint8Array.from(createHash('sha384').update(text).digest())
}

function forge(pcrsKey: string, moduleId: string, pcrs: Members, edit: NitroEdit): Uint8Array {
  const made = (edit.plans?.(plans) ?? plans).map(createCertificate)
  const certificates = edit.certificates?.(made) ?? made
  const members: Members = [
    ['module_id', moduleId],
    ['digest', 'SHA384'],
    ['timestamp', nitroTimeMs],
    [pcrsKey, new Map(edit.pcrs?.(pcrs) ?? pcrs)],
    ['certificate', certificates.at(-1) ?? null],
    ['cabundle', certificates.slice(0, -1)],
    ['public_key', null],
    ['user_data', new Uint8Array(64).fill(7)],
    ['nonce', new Uint8Array(32).fill(9)],
  ]
  const written = writeMembers(edit.members?.(members) ?? members, edit.isIndefinite ?? false)
  const payload = edit.payload?.(written) ?? written
  return seal(payload, edit)
}

function seal(payload: Uint8Array, edit: NitroEdit): Uint8Array {
  const header = edit.header ?? es384
  const toSign = encodeCbor(['Signature1', header, new Uint8Array(0), payload])
  const signature = seededKey(edit.signerName ?? planAt(plans.length - 1).subject).sign(toSign)
  const envelope = {
    tag: new Uint8Array(0),
    head: Uint8Array.of(0x84),
    header: encodeCbor(header),
    unprotected: Uint8Array.of(0xa0),
    payload: encodeCbor(payload),
    signature: encodeCbor(signature),
    tail: new Uint8Array(0),
  }
  const { tag, head, unprotected, tail, ...rest } = { ...envelope, ...edit.envelope?.(envelope) }
  return concatBytes(tag, head, rest.header, unprotected, rest.payload, rest.signature, tail)
}

/** PCR 4 is what the parent instance makes it; all others some image's. */
function enclavePcrs(): Members {
  const parent = createHash('sha384').update(new Uint8Array(48)).update(instanceId).digest()
  return Array.from({ length: 16 }, (_, index) => {
    const value = index < 3 ? digest(`enclave ${index}`) : new Uint8Array(48)
    return [index, index === 4 ? Uint8Array.from(parent) : value] as const
  })
}

/** A map whose members keep their order, and can be equal. */
function writeMembers(members: Members, isIndefinite: boolean): Uint8Array {
  const entries = members.flatMap(([key, value]) => [encodeCbor(key), encodeCbor(value)])
  return isIndefinite
    ? concatBytes(Uint8Array.of(0xbf), ...entries, Uint8Array.of(0xff))
    : concatBytes(Uint8Array.of(0xa0 + members.length), ...entries)
}

function planAt(depth: number): CertificatePlan {
  const plan = plans[depth]
  if (plan === undefined) throw new Error('the chain is not so long')
  return plan
}
