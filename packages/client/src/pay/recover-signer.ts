/**
 * The address whose key made a secp256k1 signature, with plain integers: for the rare moment in which a gateway shows us a
 * voucher that we are said to have signed. All of it is public, so nothing needs to take constant time.
 */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import { encodeWord, type Hex } from '@countersign/protocol/payment/evm-word'

/** In Jacobian coordinates: x / z², y / z³; z = 0 is the neutral element. */
type Point = { readonly x: bigint; readonly y: bigint; readonly z: bigint }

const prime = 2n ** 256n - 2n ** 32n - 977n
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const generator: Point = {
  x: 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  y: 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
  z: 1n,
}
const neutral: Point = { x: 0n, y: 1n, z: 0n }

/** The lower-case address, or `undefined` when no key made this signature of a 32-byte digest. */
export function recoverSigner(digest: Uint8Array, signature: EvmSignature): Hex | undefined {
  const r = toInteger(signature.compact.subarray(0, 32))
  const s = toInteger(signature.compact.subarray(32, 64))
  const square = modulo(r * r * r + 7n, prime)
  const root = power(square, (prime + 1n) / 4n, prime)
  if (modulo(root * root, prime) !== square) return undefined
  const y = (root & 1n) === BigInt(signature.recovery) ? root : prime - root
  const inverse = power(r, order - 2n, order)
  const u = modulo(-toInteger(digest) * inverse, order)
  const v = modulo(s * inverse, order)
  const sum = add(multiply(generator, u), multiply({ x: r, y, z: 1n }, v))
  if (sum.z === 0n) return undefined
  const zInverse = power(sum.z, prime - 2n, prime)
  const zSquare = modulo(zInverse * zInverse, prime)
  const key = new Uint8Array(64)
  key.set(encodeWord(modulo(sum.x * zSquare, prime)))
  key.set(encodeWord(modulo(sum.y * zSquare * zInverse, prime)), 32)
  return `0x${toHex(keccak256(key).subarray(12))}`
}

function multiply(point: Point, factor: bigint): Point {
  let sum = neutral
  let doubled = point
  for (let rest = factor; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) sum = add(sum, doubled)
    doubled = double(doubled)
  }
  return sum
}

function double({ x, y, z }: Point): Point {
  const ySquare = modulo(y * y, prime)
  const s = modulo(4n * x * ySquare, prime)
  const m = modulo(3n * x * x, prime)
  const newX = modulo(m * m - 2n * s, prime)
  const newY = modulo(m * (s - newX) - 8n * ySquare * ySquare, prime)
  return { x: newX, y: newY, z: modulo(2n * y * z, prime) }
}

function add(a: Point, b: Point): Point {
  if (a.z === 0n) return b
  if (b.z === 0n) return a
  const aSquare = modulo(a.z * a.z, prime)
  const bSquare = modulo(b.z * b.z, prime)
  const aX = modulo(a.x * bSquare, prime)
  const bX = modulo(b.x * aSquare, prime)
  const aY = modulo(a.y * bSquare * b.z, prime)
  const bY = modulo(b.y * aSquare * a.z, prime)
  if (aX === bX) return aY === bY ? double(a) : neutral
  const h = modulo(bX - aX, prime)
  const t = modulo(bY - aY, prime)
  const hSquare = modulo(h * h, prime)
  const hCube = modulo(h * hSquare, prime)
  const v = modulo(aX * hSquare, prime)
  const x = modulo(t * t - hCube - 2n * v, prime)
  return { x, y: modulo(t * (v - x) - aY * hCube, prime), z: modulo(h * a.z * b.z, prime) }
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let factor = modulo(base, modulus)
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = modulo(result * factor, modulus)
    factor = modulo(factor * factor, modulus)
  }
  return result
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus
  return rest < 0n ? rest + modulus : rest
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`)
}
