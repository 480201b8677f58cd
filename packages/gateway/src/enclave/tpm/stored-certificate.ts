/** Certificates as makers of TPMs store them. */

/** Makers reserve more room than a certificate takes: its own length says where it ends. */
export function withoutPadding(stored: Uint8Array): Uint8Array {
  const [tag, form, high = 0, low = 0] = stored
  const length = 4 + high * 256 + low
  // SEQUENCE with a length of two bytes; anything else is left to whoever reads the certificate to refuse.
  return tag === 0x30 && form === 0x82 ? stored.subarray(0, length) : stored
}
