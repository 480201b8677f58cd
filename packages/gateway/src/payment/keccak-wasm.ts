/**
 * Keccak-256 for the hot path. The permutation is WebAssembly, assembled here from its definition (FIPS 202 §3.2):
 * portable code has no 64-bit words and takes ten times as long. The padding is the EVM's, not that of SHA3-256.
 */

import type { Keccak256 } from '@countersign/protocol/crypto/keccak256'

const rateBytes = 136
const digestBytes = 32
const lanes = 25
const rounds = 24
/** Where the round constants stand in the memory, behind the state. */
const constantsAt = 256

/**
 * A hash function over a memory of its own. Synchronous: calls never overlap.
 *
 * @throws WebAssembly.CompileError where WebAssembly is switched off.
 */
export function createKeccak256(): Keccak256 {
  const module = new WebAssembly.Module(assembleModule())
  const { memory, permute } = readExports(new WebAssembly.Instance(module).exports)
  new BigUint64Array(memory, constantsAt, rounds).set(roundConstants())
  // Owned by the returned function, which fills it anew at each call.
  const state = new Uint8Array(memory, 0, lanes * 8)
  return (bytes) => {
    state.fill(0)
    let offset = 0
    for (; offset + rateBytes <= bytes.length; offset += rateBytes) {
      absorb(state, bytes.subarray(offset, offset + rateBytes))
      permute()
    }
    absorb(state, bytes.subarray(offset))
    flip(state, bytes.length - offset, 0x01)
    flip(state, rateBytes - 1, 0x80)
    permute()
    return state.slice(0, digestBytes)
  }
}

function absorb(state: Uint8Array, block: Uint8Array): void {
  for (let index = 0; index < block.length; index++) flip(state, index, block[index] ?? 0)
}

function flip(state: Uint8Array, index: number, bits: number): void {
  state[index] = (state[index] ?? 0) ^ bits
}

function readExports({ memory, permute }: WebAssembly.Exports): {
  readonly memory: ArrayBuffer
  readonly permute: () => void
} {
  if (!(memory instanceof WebAssembly.Memory) || typeof permute !== 'function') {
    throw new TypeError('the permutation has other exports')
  }
  return {
    memory: memory.buffer,
    permute: () => {
      permute()
    },
  }
}

/** ι: one bit of a linear feedback shift register for each power of two. */
function roundConstants(): readonly bigint[] {
  let register = 1
  return Array.from({ length: rounds }, () => {
    let constant = 0n
    for (let power = 0; power < 7; power++) {
      if ((register & 1) === 1) constant |= 1n << BigInt((1 << power) - 1)
      register = (register << 1) ^ ((register >> 7) * 0x171)
    }
    return constant
  })
}

/** ρ: how far each lane is turned; its place in the list is x + 5y. */
function rotations(): readonly number[] {
  const turns = Array.from({ length: lanes }, () => 0)
  let [x, y] = [1, 0]
  for (let step = 0; step < lanes - 1; step++) {
    turns[x + 5 * y] = (((step + 1) * (step + 2)) / 2) % 64
    ;[x, y] = [y, (2 * x + 3 * y) % 5]
  }
  return turns
}

type Code = readonly number[]

// Locals: the state A, then B, then the columns C, then D, all 64 bits wide, and where the next round constant stands.
const a = (x: number, y: number): number => (x % 5) + 5 * (y % 5)
const b = (x: number, y: number): number => lanes + a(x, y)
const c = (x: number): number => 2 * lanes + (x % 5)
const d = 2 * lanes + 5
const pointer = d + 1
const five = [0, 1, 2, 3, 4] as const
const allLanes = Array.from({ length: lanes }, (_, lane) => lane)

const join = (...parts: readonly Code[]): Code => parts.flat()
const get = (local: number): Code => [0x20, local]
const set = (local: number): Code => [0x21, local]
const keep = (local: number): Code => [0x22, local]
const xor: Code = [0x85]
const and: Code = [0x83]
const add32: Code = [0x6a]
const isLess32: Code = [0x49]
const rotateLeft = (turn: number): Code => join(constant64(turn), [0x89])
const constant32 = (value: number): Code => join([0x41], signedLeb(value))
const constant64 = (value: number): Code => join([0x42], signedLeb(value))
const load = (offset: number): Code => join([0x29, 3], unsignedLeb(offset))
const store = (offset: number): Code => join([0x37, 3], unsignedLeb(offset))
const loop: Code = [0x03, 0x40]
const againIf: Code = [0x0d, 0]
const end: Code = [0x0b]

function assembleModule(): Uint8Array<ArrayBuffer> {
  const body = join([2, d + 1, 0x7e, 1, 0x7f], assemblePermutation(), end)
  const module = join(
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    // A function without parameters and results, and one page of memory.
    section(1, [1, 0x60, 0, 0]),
    section(3, [1, 0]),
    section(5, [1, 0, 1]),
    section(7, join([2], name('memory'), [2, 0], name('permute'), [0, 0])),
    section(10, join([1], unsignedLeb(body.length), body)),
  )
  return Uint8Array.from(module)
}

function name(text: string): Code {
  return [text.length, ...Buffer.from(text, 'latin1')]
}

function section(id: number, content: Code): Code {
  return join([id], unsignedLeb(content.length), content)
}

function assemblePermutation(): Code {
  const read = allLanes.map((lane) => join(constant32(0), load(8 * lane), set(lane)))
  const write = allLanes.map((lane) => join(constant32(0), get(lane), store(8 * lane)))
  const iota = join(get(a(0, 0)), get(pointer), load(0), xor, set(a(0, 0)))
  return join(
    ...read,
    constant32(constantsAt),
    set(pointer),
    loop,
    theta(),
    rhoPi(),
    chi(),
    iota,
    // The loop goes on while there is a constant left.
    get(pointer),
    constant32(8),
    add32,
    keep(pointer),
    constant32(constantsAt + 8 * rounds),
    isLess32,
    againIf,
    end,
    ...write,
  )
}

function theta(): Code {
  const columns = five.map((x) =>
    join(...five.map((y) => join(get(a(x, y)), y === 0 ? [] : xor)), set(c(x))),
  )
  const mixed = five.map((x) =>
    join(
      join(get(c(x + 4)), get(c(x + 1)), rotateLeft(1), xor, set(d)),
      ...five.map((y) => join(get(a(x, y)), get(d), xor, set(a(x, y)))),
    ),
  )
  return join(...columns, ...mixed)
}

function rhoPi(): Code {
  const turns = rotations()
  const move = (x: number, y: number): Code =>
    join(get(a(x, y)), rotateLeft(turns[a(x, y)] ?? 0), set(b(y, 2 * x + 3 * y)))
  return five.flatMap((x) => five.flatMap((y) => move(x, y)))
}

function chi(): Code {
  return five.flatMap((y) => five.flatMap((x) => mix(x, y)))
}

function mix(x: number, y: number): Code {
  const others = join(get(b(x + 1, y)), constant64(-1), xor, get(b(x + 2, y)), and)
  return join(others, get(b(x, y)), xor, set(a(x, y)))
}

function unsignedLeb(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsignedLeb(value >> 7)]
}

function signedLeb(value: number): Code {
  return value >= -64 && value < 64
    ? [value & 127]
    : [(value & 127) | 128, ...signedLeb(value >> 7)]
}
