/** What each kind of key signs to show that it is held (spec/statement.md ST5.8). */

/** Before the SHA-256 of the keyset document and the nonce: what each kind of key confirms (ST5.8). */
export const confirmationContexts = {
  receipt: 'countersign/key-confirmation/v1',
  settlement: 'countersign/settlement-key-confirmation/v1',
  tls: 'countersign/tls-key-confirmation/v1',
  hpke: 'countersign/hpke-key-confirmation/v1',
} as const

/** DER before the 64 bytes of a P-256 key in its SubjectPublicKeyInfo. */
export const p256SpkiPrefix: Uint8Array = Uint8Array.from([
  0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
  0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
])
