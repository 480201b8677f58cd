/** The few web globals that browsers and Node 20+ share and that this package uses. */
declare class TextEncoder {
  encode(text: string): Uint8Array
}
declare class TextDecoder {
  constructor(label: 'utf-8', options: { fatal: true; ignoreBOM: true })
  decode(bytes: Uint8Array): string
}
interface CryptoKey {
  readonly type: string
}
type SubtleHash = 'SHA-256' | 'SHA-384' | 'SHA-512'
declare const crypto: {
  /** Absent in pages that are not a secure context. */
  readonly subtle?: {
    digest(name: SubtleHash, bytes: Uint8Array): Promise<ArrayBuffer>
    importKey(
      format: 'raw',
      bytes: Uint8Array,
      algorithm: { name: string; namedCurve: string },
      extractable: false,
      usages: readonly ['verify'],
    ): Promise<CryptoKey>
    importKey(
      format: 'jwk',
      key: { kty: 'RSA'; n: string; e: string },
      algorithm: { name: string; hash: SubtleHash },
      extractable: false,
      usages: readonly ['verify'],
    ): Promise<CryptoKey>
    importKey(
      format: 'raw',
      bytes: Uint8Array,
      algorithm: { name: 'AES-CTR' },
      extractable: false,
      usages: readonly ['encrypt'],
    ): Promise<CryptoKey>
    importKey(
      format: 'raw',
      bytes: Uint8Array,
      algorithm: { name: 'AES-GCM' },
      extractable: false,
      usages: readonly ['encrypt', 'decrypt'],
    ): Promise<CryptoKey>
    importKey(
      format: 'jwk',
      key: { kty: 'RSA'; n: string; e: string },
      algorithm: { name: 'RSA-OAEP'; hash: SubtleHash },
      extractable: false,
      usages: readonly ['encrypt'],
    ): Promise<CryptoKey>
    encrypt(
      algorithm:
        | { name: 'AES-CTR'; counter: Uint8Array; length: number }
        | { name: 'RSA-OAEP'; label: Uint8Array }
        | { name: 'AES-GCM'; iv: Uint8Array; additionalData: Uint8Array },
      key: CryptoKey,
      bytes: Uint8Array,
    ): Promise<ArrayBuffer>
    decrypt(
      algorithm: { name: 'AES-GCM'; iv: Uint8Array; additionalData: Uint8Array },
      key: CryptoKey,
      bytes: Uint8Array,
    ): Promise<ArrayBuffer>
    verify(
      algorithm: { name: string; hash: SubtleHash; saltLength: number },
      key: CryptoKey,
      signature: Uint8Array,
      message: Uint8Array,
    ): Promise<boolean>
  }
}
