/** An evidence policy from a file, plain or signed, with what the person pins of it (spec/attestation.md AT8). */
import { createPublicKey } from 'node:crypto'
import { openSignedPolicy } from '@countersign/protocol/attestation/signed-policy'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { describeError, ProtocolError } from '@countersign/protocol/errors'
import { parseUtcTime, UsageError } from './command.ts'
import { readFileBounded } from './read-file-bounded.ts'

/** Help for the options that go with `--policy` and `--evidence-policy`. */
export const policyPinHelp = `  --policy-signer KEY     the policy is signed, by this key or another one given so: x and y in hex, or a PEM file
  --policy-digest HEX     SHA-256 that the policy must have
  --policy-issued-from TIME  refuse a signed policy from before: the signing time of the latest one that you know`

/** The options that go with them. */
export const policyPinOptions: {
  readonly 'policy-signer': { readonly type: 'string'; multiple: true; default: string[] }
  readonly 'policy-digest': { readonly type: 'string' }
  readonly 'policy-issued-from': { readonly type: 'string' }
} = {
  'policy-signer': { type: 'string', multiple: true, default: [] },
  'policy-digest': { type: 'string' },
  'policy-issued-from': { type: 'string' },
}

/** What the command line says of a policy. */
export type PolicyPins = {
  readonly signers: readonly string[]
  readonly digest: string | undefined
  /** In UTC. */
  readonly issuedFrom: string | undefined
}

/** The values of these options. */
export type PolicyPinValues = {
  readonly 'policy-signer': readonly string[]
  readonly 'policy-digest'?: string | undefined
  readonly 'policy-issued-from'?: string | undefined
}

const maxPolicyBytes = 66_560
const maxKeyBytes = 8192
const taggedSign1 = 0xd2
const spkiBytes = 91

/** What these values say. */
export function toPins(values: PolicyPinValues): PolicyPins {
  return {
    signers: values['policy-signer'],
    digest: values['policy-digest'],
    issuedFrom: values['policy-issued-from'],
  }
}

/**
 * The bytes of the policy in a file. A signed one must be signed by a key that is given, a plain one may not be where
 * keys are given.
 *
 * @param option - the name of the option, for messages.
 * @throws UsageError, ClientError `file-unreadable`.
 */
export async function readEvidencePolicy(
  path: string,
  option: string,
  { signers, digest, issuedFrom }: PolicyPins,
  nowMs: number,
): Promise<Uint8Array> {
  const bytes = await readFileBounded(path, maxPolicyBytes)
  const keys = await Promise.all(signers.map(readPublicKey))
  const isSigned = bytes[0] === taggedSign1
  if (isSigned && keys.length === 0) {
    throw new UsageError(`${option}: the policy is signed; --policy-signer says by whom it may be`)
  }
  if (!isSigned && keys.length > 0) throw new UsageError(`${option}: the policy is not signed`)
  if (!isSigned && issuedFrom !== undefined) {
    throw new UsageError(`${option}: the policy is not signed: nothing says when it was made`)
  }
  const fromMs = issuedFrom === undefined ? 0 : parseUtcTime('--policy-issued-from', issuedFrom)
  const when = { nowMs, issuedFromSeconds: fromMs / 1000 }
  const policyBytes = isSigned ? await openPolicy(bytes, keys, option, when) : bytes
  if (digest !== undefined && toHex(sha256(policyBytes)) !== digest) {
    throw new UsageError(`${option}: the policy is not the one of --policy-digest`)
  }
  return policyBytes
}

async function openPolicy(
  bytes: Uint8Array,
  keys: readonly Uint8Array[],
  option: string,
  { nowMs, issuedFromSeconds }: { readonly nowMs: number; readonly issuedFromSeconds: number },
): Promise<Uint8Array> {
  try {
    const { policyBytes } = await openSignedPolicy(bytes, keys, nowMs, issuedFromSeconds)
    return policyBytes
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new UsageError(`${option}: ${describeError(cause)}`, { cause })
  }
}

async function readPublicKey(given: string): Promise<Uint8Array> {
  const raw = fromHex(given)
  if (raw !== undefined && raw.length === 64) return raw
  const key = toPoint(await readFileBounded(given, maxKeyBytes))
  if (key === undefined) throw new UsageError('--policy-signer takes a P-256 key')
  return key
}

/** x ‖ y of a key in PEM. A private key gives its public part. */
function toPoint(pem: Uint8Array): Uint8Array | undefined {
  try {
    const key = createPublicKey(Buffer.from(pem))
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined
    const spki = key.export({ type: 'spki', format: 'der' })
    return spki.length === spkiBytes ? Uint8Array.from(spki.subarray(-64)) : undefined
  } catch {
    return undefined
  }
}
