/** The proof that every key of a keyset is held now (spec/statement.md ST5.8). */
import type { Es256Signer } from '@countersign/protocol/crypto/es256'
import { confirmationContexts } from '@countersign/protocol/receipt/key-confirmation'
import type { HpkeKey } from './hpke-key.ts'
import type { TlsKey } from './tls-key.ts'

/** Signatures and a MAC; those of keys that the keyset has not are absent. */
export type Confirmations = {
  readonly receipt: Uint8Array
  readonly settlement?: Uint8Array
  readonly tls?: { readonly key: Uint8Array; readonly signature: Uint8Array }
  readonly hpke?: Uint8Array
}

/** The charge keys of a keyset. */
export type NamedSettlement = {
  readonly address: string
  readonly others: readonly string[]
  /** Signs by EIP-191 with the key of `address`. */
  readonly confirm: (message: Uint8Array) => Promise<Uint8Array>
}

/** The keys of an epoch. */
export type HeldKeys = {
  readonly keysetDigest: Uint8Array
  readonly signer: Es256Signer
  readonly settlement: NamedSettlement | undefined
  readonly tls: TlsKey | undefined
  readonly hpke: HpkeKey | undefined
}

/** Confirms all of them; `undefined` for a share that gives no secret. */
export async function confirmKeys(
  { keysetDigest, signer, settlement, tls, hpke }: HeldKeys,
  nonce: Uint8Array,
  share: Uint8Array | undefined,
): Promise<Confirmations | undefined> {
  const messageOf = (context: string): Buffer =>
    Buffer.concat([Buffer.from(context), keysetDigest, nonce])
  const agreed =
    hpke === undefined || share === undefined
      ? {}
      : { hpke: hpke.confirm(share, Buffer.concat([messageOf(confirmationContexts.hpke), share])) }
  const { hpke: mac } = agreed
  if ('hpke' in agreed && mac === undefined) return undefined
  return {
    receipt: signer.sign(messageOf(confirmationContexts.receipt)),
    ...(settlement === undefined
      ? {}
      : { settlement: await settlement.confirm(messageOf(confirmationContexts.settlement)) }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            key: tls.signer.publicKey,
            signature: tls.signer.sign(messageOf(confirmationContexts.tls)),
          },
        }),
    ...(mac === undefined ? {} : { hpke: mac }),
  }
}
