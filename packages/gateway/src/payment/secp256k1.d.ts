/** What we use of the package `secp256k1`, which ships no types. */
interface Secp256k1 {
  /** The uncompressed key of 65 bytes. Throws when no key made the signature. */
  ecdsaRecover(
    signature: Uint8Array,
    recovery: number,
    digest: Uint8Array,
    compressed: false,
  ): Uint8Array
  /** A low s, always. */
  ecdsaSign(
    digest: Uint8Array,
    privateKey: Uint8Array,
  ): { readonly signature: Uint8Array; readonly recid: number }
  privateKeyVerify(privateKey: Uint8Array): boolean
}
declare module 'secp256k1/bindings.js' {
  const native: Secp256k1
  export default native
}
declare module 'secp256k1/elliptic.js' {
  const portable: Secp256k1
  export default portable
}
