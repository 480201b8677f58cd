/** The portable evidence bundle (spec/bundle.md BU1). */
import { fromBase64url, toBase64url } from '../bytes/text-encoding.ts'
import { encodeUtf8 } from '../bytes/byte-string.ts'
import type { CborValue } from '../bytes/cbor-encode.ts'
import { decodeJson, type JsonValue } from '../bytes/json-decode.ts'
import { openMap, type MapReader } from '../bytes/map-reader.ts'
import { ProtocolError, type ErrorCode } from '../errors.ts'
import type { ClaimEntry } from '../receipt/claims.ts'

/** Evidence about the keyset; what `data` is depends on the kind. */
export type Evidence = {
  readonly kind: string
  readonly nonce: Uint8Array
  readonly data: Uint8Array
}

/** A later kind of proof, kept as it came. */
export type Proof = { readonly kind: string; readonly data: Uint8Array }

/** A bundle, decoded. Nothing in it is verified. */
export type Bundle = {
  readonly statement: Uint8Array
  readonly claims: readonly ClaimEntry[]
  readonly keyset: Uint8Array
  readonly evidence: readonly Evidence[]
  readonly proofs: readonly Proof[]
  /** d_1 ‖ … ‖ d_n of the event chain. */
  readonly events?: Uint8Array
}

/** Most bytes of a bundle. */
export const maxBundleBytes = 4_194_304

const code: ErrorCode = 'bundle-malformed'

/** The bytes of a bundle file: one line of JSON with a line end. */
export function encodeBundle(bundle: Bundle): Uint8Array {
  const json = {
    countersign: 1,
    statement: toBase64url(bundle.statement),
    claims: bundle.claims.map((entry) =>
      entry.kind === 'claim'
        ? { claim: toBase64url(entry.bytes) }
        : { leaf: toBase64url(entry.hash) },
    ),
    keyset: toBase64url(bundle.keyset),
    evidence: bundle.evidence.map(({ kind, nonce, data }) => ({
      kind,
      nonce: toBase64url(nonce),
      data: toBase64url(data),
    })),
    proofs: bundle.proofs.map(({ kind, data }) => ({ kind, data: toBase64url(data) })),
    ...(bundle.events === undefined ? {} : { events: toBase64url(bundle.events) }),
  }
  return encodeUtf8(`${JSON.stringify(json)}\n`)
}

/**
 * Parses by BU1.
 *
 * @throws ProtocolError `bundle-…`.
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > maxBundleBytes) throw new ProtocolError('bundle-too-large')
  const json = decodeJson(bytes)
  if (json === undefined) throw new ProtocolError('bundle-not-json')
  checkVersion(json)
  return decodeBundle(readBundle(json))
}

// The members with their byte strings still as text: BU1.2 is judged for the whole file before BU1.3.
type BundleTexts = {
  readonly statement: string
  readonly claims: readonly { readonly kind: 'claim' | 'leaf'; readonly text: string }[]
  readonly keyset: string
  readonly evidence: readonly {
    readonly kind: string
    readonly nonce: string
    readonly data: string
  }[]
  readonly proofs: readonly { readonly kind: string; readonly data: string }[]
  readonly events: string | undefined
}

function checkVersion(json: JsonValue): void {
  if (!(json instanceof Map)) throw new ProtocolError(code)
  if (json.get('countersign') !== 1) throw new ProtocolError('bundle-version-unsupported')
}

function readBundle(json: JsonValue): BundleTexts {
  const required = ['countersign', 'statement', 'claims', 'keyset', 'evidence', 'proofs']
  const fields = openMap(json, required, ['events'], code)
  return {
    statement: anyText(fields, 'statement'),
    claims: fields.array('claims', 0, 64).map(readClaimEntry),
    keyset: anyText(fields, 'keyset'),
    evidence: fields.array('evidence', 0, 1).map(readEvidence),
    proofs: fields.array('proofs', 0, 16).map(readProof),
    events: fields.has('events') ? anyText(fields, 'events') : undefined,
  }
}

function readClaimEntry(value: CborValue): BundleTexts['claims'][number] {
  const kind = value instanceof Map && value.has('leaf') ? 'leaf' : 'claim'
  return { kind, text: anyText(openMap(value, [kind], [], code), kind) }
}

function readEvidence(value: CborValue): BundleTexts['evidence'][number] {
  const fields = openMap(value, ['kind', 'nonce', 'data'], [], code)
  return {
    kind: fields.text('kind', 1, 64),
    nonce: anyText(fields, 'nonce'),
    data: anyText(fields, 'data'),
  }
}

function readProof(value: CborValue): BundleTexts['proofs'][number] {
  const fields = openMap(value, ['kind', 'data'], [], code)
  return { kind: fields.text('kind', 1, 64), data: anyText(fields, 'data') }
}

function decodeBundle(texts: BundleTexts): Bundle {
  const bundle = {
    statement: decodeText(texts.statement),
    claims: texts.claims.map(({ kind, text }): ClaimEntry => {
      if (kind === 'claim') return { kind, bytes: decodeText(text) }
      return { kind, hash: decodeDigest(text) }
    }),
    keyset: decodeText(texts.keyset),
    evidence: texts.evidence.map(({ kind, nonce, data }) => ({
      kind,
      nonce: decodeDigest(nonce),
      data: decodeText(data),
    })),
    proofs: texts.proofs.map(({ kind, data }) => ({ kind, data: decodeText(data) })),
  }
  return texts.events === undefined ? bundle : { ...bundle, events: decodeDigests(texts.events) }
}

function anyText(fields: MapReader, key: string): string {
  return fields.text(key, 0, maxBundleBytes)
}

function decodeText(text: string): Uint8Array {
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new ProtocolError('bundle-base64')
  return bytes
}

function decodeDigest(text: string): Uint8Array {
  const bytes = decodeText(text)
  if (bytes.length !== 32) throw new ProtocolError(code)
  return bytes
}

function decodeDigests(text: string): Uint8Array {
  const bytes = decodeText(text)
  if (bytes.length % 32 !== 0) throw new ProtocolError(code)
  return bytes
}
