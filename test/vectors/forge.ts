/** Builds bundles from calls: right ones, and ones with a fault at any one place. Everything is deterministic. */
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import {
  encodeCbor,
  isCborMap,
  type CborKey,
  type CborValue,
} from '@countersign/protocol/bytes/cbor-encode'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Es256Signer } from '@countersign/protocol/crypto/es256'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  createClaimsTree,
  withholdClaims,
  type ClaimEntry,
} from '@countersign/protocol/receipt/claims'
import { encodeCoseSign1, keyId } from '@countersign/protocol/receipt/cose'
import { encodeKeyset } from '@countersign/protocol/receipt/keyset'
import { encodePayload } from '@countersign/protocol/receipt/payload'
import { encodeBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import { signedAtMs, type SampleCall } from './sample-call.ts'
import { seededBytes, seededSalts, seededSigner } from './signers.ts'

/** The fields of a CBOR map, to be changed in place. */
export type Fields = Map<CborKey, CborValue>

/** Changes the fields of a map. */
export type Edit = (fields: Fields) => void

/** Changes bytes. */
export type ByteEdit = (bytes: Uint8Array) => Uint8Array

/** Faults in a signed object: maps are changed before they are encoded, bytes afterwards; all before signing. */
export type SignedEdits = {
  readonly header?: Edit
  readonly headerBytes?: ByteEdit
  readonly payload?: Edit
  readonly payloadBytes?: ByteEdit
  readonly signer?: Es256Signer
  /** After signing: the whole COSE_Sign1. */
  readonly signed?: ByteEdit
}

/** Faults in simulated evidence. */
export type EvidenceEdits = {
  readonly endorsement?: SignedEdits
  readonly quote?: SignedEdits
  readonly outer?: Edit
  readonly bytes?: ByteEdit
  readonly nonce?: Uint8Array
  readonly kind?: string
}

/** Where a bundle differs from a right one. */
export type Forgery = {
  readonly statement?: SignedEdits
  /** Changes the claims before the root is made. */
  readonly entries?: (entries: readonly ClaimEntry[]) => readonly ClaimEntry[]
  readonly document?: Edit
  readonly keyset?: SignedEdits
  readonly evidence?: EvidenceEdits | 'none'
  /** Changes the bundle after everything is signed. */
  readonly bundle?: (bundle: Bundle) => Partial<Bundle>
  readonly json?: (text: string) => string
}

/** The key that signs statements. */
const receiptSigner: Es256Signer = seededSigner('receipt')
/** A key that no keyset lists. */
export const strangerSigner: Es256Signer = seededSigner('stranger')
/** The root of the simulated evidence. */
export const rootSigner: Es256Signer = seededSigner('root')

const platformSigner = seededSigner('platform')
const issuer = 'gateway.example'
const contentType = 'application/countersign+cbor'
const evidenceTypes = {
  endorsement: 'application/countersign-simulated-endorsement+cbor',
  quote: 'application/countersign-simulated-quote+cbor',
}
const notBeforeMs = signedAtMs - 3_600_000
const notAfterMs = notBeforeMs + 86_400_000
const buildDigest = seededBytes('build')

/** The bytes of a bundle file for this call, with these faults. */
export function forgeBundle(call: SampleCall, forgery: Forgery = {}): Uint8Array {
  const document = editCbor(keysetDocument(call.type), forgery.document)
  const keysetDigest = sha256(document)
  const salts = seededSalts(call.name, call.claims.size)
  const made = createClaimsTree(call.claims, salts).entries
  const claims = forgery.entries?.(made) ?? made
  const bundle: Bundle = {
    statement: forgeStatement(call, claims, keysetDigest, forgery.statement),
    claims: call.isWithheld === true ? withholdClaims(claims) : claims,
    keyset: forgeKeyset(document, keysetDigest, forgery.keyset),
    evidence: forgery.evidence === 'none' ? [] : [forgeEvidence(keysetDigest, forgery.evidence)],
    proofs: [],
    ...(call.events === undefined ? {} : { events: call.events }),
  }
  const changed = { ...bundle, ...forgery.bundle?.(bundle) }
  const bytes = encodeBundle(changed)
  if (forgery.json === undefined) return bytes
  return encodeUtf8(forgery.json(new TextDecoder().decode(bytes)))
}

/** RFC 6962 §2.1 as it is written there. */
export function hashTreeByDefinition(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves
  if (first === undefined) return sha256(new Uint8Array(0))
  if (leaves.length === 1) return first
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  const left = hashTreeByDefinition(leaves.slice(0, split))
  const right = hashTreeByDefinition(leaves.slice(split))
  return sha256(concatBytes(Uint8Array.of(1), left, right))
}

/** The leaf hash of an entry. */
export function leafHash(entry: ClaimEntry): Uint8Array {
  return entry.kind === 'leaf' ? entry.hash : sha256(concatBytes(Uint8Array.of(0), entry.bytes))
}

/** The same CBOR map with some fields changed. */
export function editCbor(bytes: Uint8Array, edit: Edit | undefined): Uint8Array {
  if (edit === undefined) return bytes
  const map: Fields = new Map(openFields(decodeCbor(bytes, bytes.length)))
  edit(map)
  return encodeCbor(map)
}

/** Changes a map that is a field of another one. */
export function editField(outer: Fields, key: CborKey, edit: Edit): void {
  const map: Fields = new Map(openFields(outer.get(key)))
  edit(map)
  outer.set(key, map)
}

function openFields(value: CborValue | undefined): ReadonlyMap<CborKey, CborValue> {
  if (!isCborMap(value)) throw new Error('a sample is not a map')
  return value
}

function forgeStatement(
  call: SampleCall,
  claims: readonly ClaimEntry[],
  keysetDigest: Uint8Array,
  edits: SignedEdits | undefined,
): Uint8Array {
  const id = seededBytes(`id/${call.name}`).slice(0, 16)
  const payload = encodePayload({
    type: call.type,
    id,
    sequence: 1,
    previous: seededBytes('previous'),
    keysetDigest,
    timeMs: signedAtMs,
    ...(call.nonce === undefined ? {} : { nonce: call.nonce }),
    charge: call.charge,
    claimsRoot: hashTreeByDefinition(claims.map(leafHash)),
    claimsCount: claims.length,
  })
  return sign(statementHeader(`${call.type}:${toHex(id)}`), payload, receiptSigner, edits)
}

/** With everything optional for receipts, with nothing for refusals. */
function keysetDocument(type: SampleCall['type']): Uint8Array {
  const keyset = {
    issuer,
    receiptKey: receiptSigner.publicKey,
    notBeforeMs,
    notAfterMs,
    configDigest: seededBytes('config'),
    buildDigest,
  }
  if (type === 'refusal') return encodeKeyset(keyset)
  const asset = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
  return encodeKeyset({
    ...keyset,
    previousKeysetDigest: seededBytes('previous keyset'),
    payees: [{ network: 'eip155:84532', asset, address: '0x01' }],
    settlementAddress: '0x02',
    tlsSpki: seededBytes('tls spki'),
    hpkeKey: seededBytes('hpke key'),
    upstreams: ['api.example', 'b.example:8443'],
  })
}

function forgeKeyset(
  document: Uint8Array,
  keysetDigest: Uint8Array,
  edits: SignedEdits | undefined,
): Uint8Array {
  const id = seededBytes('id/keyset').slice(0, 16)
  const payload = encodePayload({
    type: 'keyset',
    id,
    sequence: 0,
    previous: new Uint8Array(32),
    keysetDigest,
    timeMs: notBeforeMs,
    document,
  })
  return sign(statementHeader(`keyset:${toHex(id)}`), payload, receiptSigner, edits)
}

function forgeEvidence(
  keysetDigest: Uint8Array,
  edits: EvidenceEdits = {},
): Bundle['evidence'][number] {
  const nonce = seededBytes('evidence nonce')
  const endorsement: Fields = new Map<CborKey, CborValue>([
    [1, 1],
    [2, platformSigner.publicKey],
    [3, notBeforeMs],
    [4, notAfterMs],
  ])
  const quote: Fields = new Map<CborKey, CborValue>([
    [1, 1],
    [2, createReportData(keysetDigest, nonce)],
    [3, buildDigest],
    [4, notBeforeMs],
  ])
  const signPart = (
    part: 'endorsement' | 'quote',
    payload: Fields,
    signer: Es256Signer,
  ): Uint8Array => {
    const header = coseHeader(evidenceTypes[part], signer)
    return sign(header, encodeCbor(payload), signer, edits[part])
  }
  const outer: Fields = new Map<CborKey, CborValue>([
    [1, 1],
    [2, rootSigner.publicKey],
    [3, signPart('endorsement', endorsement, rootSigner)],
    [4, signPart('quote', quote, platformSigner)],
  ])
  edits.outer?.(outer)
  const data = encodeCbor(outer)
  return {
    kind: edits.kind ?? 'simulated',
    nonce: edits.nonce ?? nonce,
    data: edits.bytes?.(data) ?? data,
  }
}

function statementHeader(subject: string): Fields {
  return coseHeader(contentType, receiptSigner).set(
    15,
    new Map([
      [1, issuer],
      [2, subject],
    ]),
  )
}

function coseHeader(type: string, signer: Es256Signer): Fields {
  return new Map<CborKey, CborValue>([
    [1, -7],
    [3, type],
    [4, keyId(signer.publicKey)],
  ])
}

function sign(
  header: Fields,
  payload: Uint8Array,
  signer: Es256Signer,
  edits: SignedEdits = {},
): Uint8Array {
  edits.header?.(header)
  const encodedHeader = encodeCbor(header)
  const protectedBytes = edits.headerBytes?.(encodedHeader) ?? encodedHeader
  const edited = editCbor(payload, edits.payload)
  const payloadBytes = edits.payloadBytes?.(edited) ?? edited
  const message = encodeCbor(['Signature1', protectedBytes, new Uint8Array(0), payloadBytes])
  const signature = (edits.signer ?? signer).sign(message)
  const bytes = encodeCoseSign1({ protectedBytes, payloadBytes, signature })
  return edits.signed?.(bytes) ?? bytes
}
