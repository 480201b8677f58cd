/** SHA-256 (FIPS 180-4), synchronous and the same everywhere: WebCrypto has it only for those who can wait. */

/** SHA-256 of the bytes: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Writes the SHA-256 of the bytes into the target, from this offset on. The bytes may be part of the target. */
export type Sha256Into = (bytes: Uint8Array, target: Uint8Array, offset: number) => void

const blockBytes = 64
const rounds = 64

/** The portable SHA-256. */
export const sha256: Sha256 = (bytes) => {
  const message = pad(bytes)
  const view = new DataView(message.buffer)
  const state = initialState.slice()
  const schedule = new Int32Array(rounds)
  for (let offset = 0; offset < message.length; offset += blockBytes) {
    for (let place = 0; place < 16; place++) schedule[place] = view.getInt32(offset + 4 * place)
    expand(schedule)
    compress(state, schedule)
  }
  for (let place = 0; place < state.length; place++) view.setInt32(4 * place, Number(state[place]))
  return message.slice(0, 32)
}

/** The same, written in place. A caller on a hot path may pass a native one where a parameter allows it. */
export const sha256Into: Sha256Into = (bytes, target, offset) => {
  target.set(sha256(bytes), offset)
}

const primes = /* @__PURE__ */ firstPrimes()
// The first 32 bits of the fractions of their square roots and of their cube roots (§5.3.3, §4.2.2).
const initialState = /* @__PURE__ */ toWords(primes.slice(0, 8).map(Math.sqrt))
const constants = /* @__PURE__ */ toWords(primes.map(Math.cbrt))

function firstPrimes(): readonly number[] {
  const found: number[] = []
  for (let candidate = 2; found.length < rounds; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate)
  }
  return found
}

/** A double has 52 bits: three before the point, 32 that are wanted, and room for error. */
function toWords(roots: readonly number[]): Int32Array {
  return Int32Array.from(roots, (root) => (root % 1) * 2 ** 32)
}

/** The message, a one bit, zeros, and its length in bits (§5.1.1). */
function pad(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(Math.ceil((bytes.length + 9) / blockBytes) * blockBytes)
  message.set(bytes)
  message[bytes.length] = 0x80
  const end = new DataView(message.buffer, message.length - 8)
  end.setBigUint64(0, BigInt(bytes.length) * 8n)
  return message
}

function expand(schedule: Int32Array): void {
  for (let place = 16; place < rounds; place++) {
    const early = Number(schedule[place - 15])
    const late = Number(schedule[place - 2])
    schedule[place] =
      (rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3)) +
      (rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10)) +
      Number(schedule[place - 16]) +
      Number(schedule[place - 7])
  }
}

/** §6.2.2. The names are those of the standard; an array in their place would take three times as long. */
function compress(state: Int32Array, schedule: Int32Array): void {
  let a = Number(state[0])
  let b = Number(state[1])
  let c = Number(state[2])
  let d = Number(state[3])
  let e = Number(state[4])
  let f = Number(state[5])
  let g = Number(state[6])
  let h = Number(state[7])
  for (let place = 0; place < rounds; place++) {
    const mixed = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g))
    const first = (mixed + Number(constants[place]) + Number(schedule[place])) | 0
    const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + second) | 0
  }
  state[0] = Number(state[0]) + a
  state[1] = Number(state[1]) + b
  state[2] = Number(state[2]) + c
  state[3] = Number(state[3]) + d
  state[4] = Number(state[4]) + e
  state[5] = Number(state[5]) + f
  state[6] = Number(state[6]) + g
  state[7] = Number(state[7]) + h
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits))
}
