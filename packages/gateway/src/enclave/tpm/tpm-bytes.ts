/** The few ways in which TPM commands write numbers and byte strings: big-endian, lengths first. */

/** Two bytes. */
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** Four bytes. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A TPM2B: two bytes of length and the bytes. */
export function sized(...parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(parts)
  return Buffer.concat([u16(bytes.length), bytes])
}

/** A TPML_PCR_SELECTION of one bank: PCRs 0 to 23. */
export function selectPcrs(hash: number, pcrs: readonly number[]): Buffer {
  const bitmap = Buffer.alloc(3)
  for (const pcr of pcrs) bitmap.writeUInt8(bitmap.readUInt8(pcr >> 3) | (1 << (pcr & 7)), pcr >> 3)
  return Buffer.concat([u32(1), u16(hash), Buffer.of(bitmap.length), bitmap])
}
