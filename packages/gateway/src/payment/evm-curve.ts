/**
 * Signatures and hashes of EVM accounts on the hot path: libsecp256k1, thirty times as fast as portable code, and Keccak
 * in WebAssembly, eight times as fast.
 */
import type { Keccak256 } from '@countersign/protocol/crypto/keccak256'
import type { EvmSignature, RecoverAddress } from '@countersign/protocol/payment/evm-signature'
import { createKeccak } from 'hash-wasm'

/** The curve. `portable` is pure JavaScript, for platforms without a prebuilt library: say so at the start. */
export type EvmCurve = {
  readonly implementation: 'native' | 'portable'
  readonly recoverAddress: RecoverAddress
  readonly keccak256: Keccak256
  /** Signs 32 bytes with a low s. @throws RangeError when the key is none. */
  sign(digest: Uint8Array, privateKey: Uint8Array): EvmSignature
}

/**
 * Loads the native library; the package itself would fall back in silence.
 *
 * @throws the reason when neither implementation can be loaded.
 */
export async function loadEvmCurve(): Promise<EvmCurve> {
  try {
    const { default: native } = await import('secp256k1/bindings.js')
    return await createEvmCurve('native', native)
  } catch {
    return loadPortableCurve()
  }
}

/** The portable implementation alone. */
export async function loadPortableCurve(): Promise<EvmCurve> {
  const { default: portable } = await import('secp256k1/elliptic.js')
  return createEvmCurve('portable', portable)
}

/** Keccak-256 with the padding of the EVM. Synchronous: calls never overlap, so one state serves them all. */
async function loadKeccak256(): Promise<Keccak256> {
  const state = await createKeccak(256)
  return (bytes) => state.init().update(bytes).digest('binary')
}

async function createEvmCurve(
  implementation: EvmCurve['implementation'],
  secp256k1: Secp256k1,
): Promise<EvmCurve> {
  const keccak256 = await loadKeccak256()
  return {
    implementation,
    keccak256,
    recoverAddress: (digest, { compact, recovery }) => {
      try {
        const publicKey = secp256k1.ecdsaRecover(compact, recovery, digest, false)
        return keccak256(publicKey.subarray(1)).subarray(12)
      } catch {
        // No point of the curve has this r.
        return undefined
      }
    },
    sign: (digest, privateKey) => {
      if (privateKey.length !== 32 || !secp256k1.privateKeyVerify(privateKey)) {
        throw new RangeError('not a private key')
      }
      const { signature, recid } = secp256k1.ecdsaSign(digest, privateKey)
      return { compact: signature, recovery: recid === 0 ? 0 : 1 }
    },
  }
}
