/** TPMT_PUBLIC of RSA keys, right or wrong. */
import type { KeyObject } from 'node:crypto'
import { sized, u16, u32 } from '../../../../../test/vectors/attestation/forge-tpm.ts'

/** What is changed of an endorsement key. */
export interface RsaPublicPlan {
  readonly attributes?: number
  readonly nameAlgorithm?: number
  /** 0 for a key that signs. */
  readonly symmetricBits?: number
  readonly scheme?: Uint8Array
  readonly keyBits?: number
  readonly exponent?: number
  readonly modulus?: Uint8Array
}

/** The public area of a key: an endorsement key by default. */
export function encodeRsaPublic(key: KeyObject, plan: RsaPublicPlan = {}): Uint8Array {
  const { n = '' } = key.export({ format: 'jwk' })
  const { symmetricBits = 128, scheme = u16(0x10), modulus = Buffer.from(n, 'base64url') } = plan
  const symmetric = symmetricBits === 0 ? [u16(0x10)] : [u16(6), u16(symmetricBits), u16(0x43)]
  return Uint8Array.from(
    Buffer.concat([
      u16(1),
      u16(plan.nameAlgorithm ?? 0x0b),
      u32(plan.attributes ?? 0x000300b2),
      sized(Buffer.alloc(32)),
      ...symmetric,
      scheme,
      u16(plan.keyBits ?? modulus.length * 8),
      u32(plan.exponent ?? 0),
      sized(modulus),
    ]),
  )
}
