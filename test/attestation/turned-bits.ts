/** Single-bit changes of evidence: a sample in each run, all of them when asked. */

/** Bits between two that are turned in an ordinary run: without a factor of 8, so that each bit of a byte has its turn. */
const strideBits = 331

/**
 * Each change of the bytes by one bit that this run makes, with its place. With `COUNTERSIGN_TAMPERING=full` all of
 * them, otherwise a sample that is the same every time.
 */
export function* turnBits(
  bytes: Uint8Array,
): Generator<readonly [bit: number, turned: Uint8Array]> {
  const stride = process.env['COUNTERSIGN_TAMPERING'] === 'full' ? 1 : strideBits
  for (let bit = 0; bit < bytes.length * 8; bit += stride) {
    const at = bit >> 3
    yield [bit, bytes.with(at, (bytes[at] ?? 0) ^ (1 << (bit & 7)))]
  }
}
