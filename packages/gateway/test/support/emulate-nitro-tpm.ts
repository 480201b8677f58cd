/**
 * The TPM of an EC2 instance as far as attestation needs it: indexes with passwords, and AWS's vendor command. Written
 * from TPM 2.0 Part 3 §31 and the public tools for NitroTPM. What it signs stands under a test root.
 */
import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor, isCborMap, type CborMap } from '@countersign/protocol/bytes/cbor-encode'
import { forgeTpm } from '../../../../test/vectors/attestation/forge-nitro.ts'
import { sized, u16, u32 } from '../../src/enclave/tpm/tpm-bytes.ts'

/** What the hypervisor answers to a request: the bytes that it writes over it. */
export type NsmAnswer = (request: CborMap) => Uint8Array

/** An emulator that runs. `commands` are the codes that it was sent; `indexes` what is defined now. */
export interface NitroTpmEmulator {
  readonly commands: readonly number[]
  readonly indexes: ReadonlyMap<number, unknown>
  answer: NsmAnswer
  /** The next command of this code gets this response code. */
  refuseNext(command: number, responseCode: number): void
  stop(): Promise<void>
}

interface Index {
  readonly password: Buffer
  readonly bytes: Buffer
  written: number
}

interface Command {
  readonly code: number
  readonly handles: readonly number[]
  readonly password: Buffer
  readonly parameters: Buffer
}

const code = {
  startup: 0x144,
  define: 0x12a,
  undefine: 0x122,
  write: 0x137,
  read: 0x14e,
  nsm: 0x20000001,
} as const
const owner = 0x40000001
const authReadWrite = 0x00040004
const maxBuffer = 1024
const maxIndexBytes = 8192
/** Response codes of Part 2 §6.6. */
const rc = {
  authFail: 0x98e,
  nvDefined: 0x14c,
  nvRange: 0x146,
  nvUninitialized: 0x14a,
  handle: 0x18b,
  size: 0x1d5,
  command: 0x143,
} as const

/** A document for the request's user data, in the wrapping of the module. */
export const honestAnswer: NsmAnswer = (request) => wrap(documentFor(request))

/** That document alone. */
export function documentFor(request: CborMap): Uint8Array {
  const userData = attestationOf(request).get('user_data') ?? null
  return forgeTpm({
    isIndefinite: true,
    members: (members) =>
      members.map(([key, value]) => [key, key === 'user_data' ? userData : value]),
  })
}

/** {"Attestation": {"document": bytes}}. */
export function wrap(document: Uint8Array): Uint8Array {
  return encodeCbor(new Map([['Attestation', new Map([['document', document]])]]))
}

/** Serves the emulator on a socket. */
export async function emulateNitroTpm(socketPath: string): Promise<NitroTpmEmulator> {
  const indexes = new Map<number, Index>()
  const commands: number[] = []
  const refusals = new Map<number, number>()
  const sockets = new Set<Socket>()
  const emulator: NitroTpmEmulator = {
    commands,
    indexes,
    answer: honestAnswer,
    refuseNext: (command, responseCode) => void refusals.set(command, responseCode),
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
  const respond = (bytes: Buffer): Buffer => {
    const command = parseCommand(bytes)
    commands.push(command.code)
    const refusal = refusals.get(command.code)
    refusals.delete(command.code)
    const result = refusal ?? run(command, indexes, emulator.answer)
    return typeof result === 'number'
      ? frame(0x8001, result, Buffer.alloc(0))
      : toAnswer(command, result)
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let pending = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 10 && pending.length >= pending.readUInt32BE(2)) {
        const length = pending.readUInt32BE(2)
        socket.write(respond(pending.subarray(0, length)))
        pending = pending.subarray(length)
      }
    })
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return emulator
}

function run(command: Command, indexes: Map<number, Index>, answer: NsmAnswer): Buffer | number {
  const [authorizer = 0, handle = 0] = command.handles
  if (command.code === code.startup) return Buffer.alloc(0)
  if (command.code === code.define) return define(command, indexes)
  const index = indexes.get(handle)
  if (index === undefined) return rc.handle
  if (command.code === code.undefine) {
    if (authorizer !== owner || command.password.length > 0) return rc.authFail
    indexes.delete(handle)
    return Buffer.alloc(0)
  }
  if (authorizer !== handle || !command.password.equals(index.password)) return rc.authFail
  if (command.code === code.write) return write(index, command.parameters)
  if (command.code === code.read) return read(index, command.parameters)
  if (command.code !== code.nsm || command.parameters.length > 0) return rc.command
  return answerRequest(index, answer)
}

function answerRequest(index: Index, answer: NsmAnswer): Buffer {
  const request = decodeCbor(index.bytes.subarray(0, index.written), maxIndexBytes)
  if (!isCborMap(request)) throw new Error('the request is no map')
  index.bytes.set(answer(request))
  return Buffer.alloc(0)
}

function define(
  { handles, password, parameters }: Command,
  indexes: Map<number, Index>,
): Buffer | number {
  if (handles[0] !== owner || password.length > 0) return rc.authFail
  const authLength = parameters.readUInt16BE(0)
  const area = parameters.subarray(2 + authLength + 2)
  const handle = area.readUInt32BE(0)
  const isSound =
    area.length === 14 &&
    area.readUInt16BE(4) === 0x0d &&
    area.readUInt32BE(6) === authReadWrite &&
    authLength <= 64
  const sizeBytes = area.readUInt16BE(12)
  if (!isSound || sizeBytes > maxIndexBytes) return rc.size
  if (indexes.has(handle)) return rc.nvDefined
  const bytes = Buffer.alloc(sizeBytes, 0xff)
  indexes.set(handle, { password: parameters.subarray(2, 2 + authLength), bytes, written: 0 })
  return Buffer.alloc(0)
}

function write(index: Index, parameters: Buffer): Buffer | number {
  const length = parameters.readUInt16BE(0)
  const offset = parameters.readUInt16BE(2 + length)
  if (length > maxBuffer || parameters.length !== 4 + length) return rc.size
  if (offset + length > index.bytes.length) return rc.nvRange
  index.bytes.set(parameters.subarray(2, 2 + length), offset)
  index.written = Math.max(index.written, offset + length)
  return Buffer.alloc(0)
}

function read(index: Index, parameters: Buffer): Buffer | number {
  if (index.written === 0) return rc.nvUninitialized
  const [length, offset] = [parameters.readUInt16BE(0), parameters.readUInt16BE(2)]
  if (length > maxBuffer) return rc.size
  if (offset + length > index.bytes.length) return rc.nvRange
  return sized(index.bytes.subarray(offset, offset + length))
}

function parseCommand(bytes: Buffer): Command {
  const commandCode = bytes.readUInt32BE(6)
  if (bytes.readUInt16BE(0) === 0x8001) {
    return {
      code: commandCode,
      handles: [],
      password: Buffer.alloc(0),
      parameters: bytes.subarray(10),
    }
  }
  const count = commandCode === code.define ? 1 : 2
  const handles = Array.from({ length: count }, (_, at) => bytes.readUInt32BE(10 + 4 * at))
  const at = 10 + 4 * count
  const area = bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at))
  const isPassword = area.readUInt32BE(0) === 0x40000009 && area.readUInt16BE(4) === 0
  const password = area.subarray(9)
  if (!isPassword || area.readUInt16BE(7) !== password.length) throw new Error('authorization')
  return { code: commandCode, handles, password, parameters: bytes.subarray(at + 4 + area.length) }
}

function toAnswer({ code: command }: Command, parameters: Buffer): Buffer {
  if (command === code.startup) return frame(0x8001, 0, parameters)
  const session = Buffer.of(0, 0, 1, 0, 0)
  return frame(0x8002, 0, Buffer.concat([u32(parameters.length), parameters, session]))
}

function frame(tag: number, responseCode: number, body: Buffer): Buffer {
  return Buffer.concat([u16(tag), u32(10 + body.length), u32(responseCode), body])
}

function attestationOf(request: CborMap): CborMap {
  const members = request.get('Attestation')
  if (request.size !== 1 || !isCborMap(members)) throw new Error('no request for a document')
  return members
}

/** An answer whose maps have no length. */
export function wrapIndefinite(document: Uint8Array): Uint8Array {
  const end = Uint8Array.of(0xff)
  const start = Uint8Array.of(0xbf)
  const inner = concatBytes(start, encodeCbor('document'), encodeCbor(document), end)
  return concatBytes(start, encodeCbor('Attestation'), inner, end)
}
