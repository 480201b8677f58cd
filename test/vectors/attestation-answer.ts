/** A case of `vectors/attestations.json`: an answer of `/v1/attestation`, and what it was asked with. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromBase64url, fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { defaultPolicy, productionPolicy } from '@countersign/protocol/verify/policy'
import {
  verifyAttestation,
  type AttestationQuestion,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import { x25519Agree, x25519Public } from './hpke.ts'

/** A case as it stands in the file. */
export type StoredAnswerCase = {
  readonly name: string
  readonly clause: string
  readonly answer: string
  /** As in `bundles.json`. */
  readonly policy: string
  readonly now: number
  /** Hex. */
  readonly nonce: string
  /** The X25519 private key of the share that was sent, hex; absent where none was. */
  readonly sharePrivateKey?: string
  readonly expect: StoredAnswerVerdict
}

/** What is compared between implementations. */
export type StoredAnswerVerdict = {
  readonly verdict: string
  readonly level: string
  readonly checks: readonly (readonly [string, string, string])[]
}

/** Judges what stands in the file. */
export async function judgeStoredAnswer(
  stored: Omit<StoredAnswerCase, 'expect'>,
): Promise<StoredAnswerVerdict> {
  const { answer, policy, now, nonce, sharePrivateKey } = stored
  const question: AttestationQuestion = {
    nonce: decode(fromHex(nonce)),
    signedByAddress: isSignedBy,
    ...(sharePrivateKey === undefined
      ? {}
      : { exchange: openExchange(decode(fromHex(sharePrivateKey))) }),
  }
  const bytes = decode(fromBase64url(answer))
  return store(await verifyAttestation(bytes, policyBytes(policy), now, question))
}

/** EIP-191: r ‖ s ‖ v over the message. */
export function signByAddress(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  const [recovery = 0, ...rs] = secp256k1.sign(digestOf(message), secretKey, {
    prehash: false,
    format: 'recovered',
  })
  return Uint8Array.of(...rs, 27 + recovery)
}

/** The address of a secret key, with the case of its letters as EIP-55 has it left out. */
export function addressOf(secretKey: Uint8Array): string {
  return toAddress(secp256k1.getPublicKey(secretKey, false))
}

async function isSignedBy(
  address: string,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const recovery = (signature[64] ?? 0) - 27
  if (signature.length !== 65 || recovery < 0 || recovery > 1) return false
  try {
    const recovered = secp256k1.Signature.fromBytes(signature.subarray(0, 64))
      .addRecoveryBit(recovery)
      .recoverPublicKey(digestOf(message))
    return toAddress(recovered.toBytes(false)) === address.toLowerCase()
  } catch {
    return false
  }
}

function openExchange(privateKey: Uint8Array): NonNullable<AttestationQuestion['exchange']> {
  return {
    share: x25519Public(privateKey),
    agree: (publicKey) => Promise.resolve(x25519Agree(privateKey, publicKey)),
  }
}

function digestOf(message: Uint8Array): Uint8Array {
  const prefix = encodeUtf8(`\u0019Ethereum Signed Message:\n${message.length}`)
  return keccak256(concatBytes(prefix, message))
}

function toAddress(publicKey: Uint8Array): string {
  return `0x${toHex(keccak256(publicKey.subarray(1)).subarray(12))}`
}

function policyBytes(policy: string): Uint8Array {
  if (policy === 'default') return defaultPolicy
  return policy === 'production' ? productionPolicy : decode(fromBase64url(policy.slice(4)))
}

function store({ verdict, level, checks }: AttestationVerdict): StoredAnswerVerdict {
  return {
    verdict,
    level,
    checks: checks.map((check) => {
      if (check.status === 'passed') return [check.id, check.status, '']
      return [check.id, check.status, check.status === 'failed' ? check.code : check.reason]
    }),
  }
}

function decode(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error('a vector is neither hex nor base64url')
  return bytes
}
