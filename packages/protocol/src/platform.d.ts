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
declare const crypto: {
  /** Absent in pages that are not a secure context. */
  readonly subtle?: {
    importKey(
      format: 'raw',
      bytes: Uint8Array,
      algorithm: { name: 'ECDSA'; namedCurve: 'P-256' },
      extractable: false,
      usages: readonly ['verify'],
    ): Promise<CryptoKey>
    verify(
      algorithm: { name: 'ECDSA'; hash: 'SHA-256' },
      key: CryptoKey,
      signature: Uint8Array,
      message: Uint8Array,
    ): Promise<boolean>
  }
}
