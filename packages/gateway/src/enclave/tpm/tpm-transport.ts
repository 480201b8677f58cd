/** One command to a TPM and its answer, over a character device or a socket. */
import { once } from 'node:events'
import { open, type FileHandle } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { AttestationError } from '../attestation-error.ts'

/** A connection to a TPM: one command at a time. After an error it is of no more use than to be closed. */
export type TpmTransport = {
  /**
   * Sends a command and gives the whole answer, at most 4,096 bytes.
   *
   * @throws AttestationError `attester-unreachable`, `attester-timeout`, `attester-malformed`.
   */
  transmit(command: Uint8Array): Promise<Buffer>
  close(): Promise<void>
}

/** Where a TPM is: a device as the Linux kernel offers it, or a socket that speaks the same bytes (swtpm). */
export type TpmAddress =
  | { readonly kind: 'device'; readonly path: string }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

const maxResponseBytes = 4096
const headerBytes = 10

/** Connects to a TPM. `timeoutMs` bounds the connection and each command. */
export async function openTpm(address: TpmAddress, timeoutMs: number): Promise<TpmTransport> {
  const tpm =
    address.kind === 'device'
      ? await openDevice(address.path, timeoutMs)
      : await openSocket(address, timeoutMs)
  // Owned by transmit. A late answer must never be taken for the answer to the next command.
  let isBroken = false
  return {
    transmit: async (command) => {
      if (isBroken) throw new AttestationError('attester-unreachable', 'after an error')
      isBroken = true
      const response = await tpm.transmit(command)
      isBroken = false
      return response
    },
    close: () => tpm.close(),
  }
}

async function openDevice(path: string, timeoutMs: number): Promise<TpmTransport> {
  const file = await unreachable(path, () => open(path, 'r+'))
  return {
    transmit: (command) => inTime(exchangeOnDevice(file, path, command), path, timeoutMs),
    close: () => file.close(),
  }
}

async function exchangeOnDevice(
  file: FileHandle,
  path: string,
  command: Uint8Array,
): Promise<Buffer> {
  // The kernel takes a command in one write and refuses a part of it.
  await unreachable(path, () => file.write(command, 0, command.length, null))
  return readResponse(path, async () => {
    const buffer = Buffer.alloc(maxResponseBytes)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
    return buffer.subarray(0, bytesRead)
  })
}

async function openSocket(
  address: Exclude<TpmAddress, { kind: 'device' }>,
  timeoutMs: number,
): Promise<TpmTransport> {
  const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`
  const socket =
    address.kind === 'unix'
      ? connect(address.path)
      : connect({ host: address.host, port: address.port })
  // Errors reach whoever waits through `once` or the iterator; this keeps a late one from ending the process.
  socket.on('error', () => undefined)
  try {
    await inTime(
      unreachable(where, () => once(socket, 'connect')),
      where,
      timeoutMs,
    )
  } catch (error) {
    socket.destroy()
    throw error
  }
  const chunks = socket.iterator({ destroyOnReturn: false })
  return {
    transmit: (command) =>
      inTime(exchangeOnSocket(socket, chunks, where, command), where, timeoutMs),
    close: async () => {
      if (socket.destroyed) return
      const closed = once(socket, 'close')
      socket.destroy()
      await closed
    },
  }
}

async function exchangeOnSocket(
  socket: Socket,
  chunks: AsyncIterator<unknown>,
  where: string,
  command: Uint8Array,
): Promise<Buffer> {
  socket.write(command)
  return readResponse(where, async () => {
    const next: IteratorResult<unknown, unknown> = await chunks.next()
    return next.done !== true && Buffer.isBuffer(next.value) ? next.value : Buffer.alloc(0)
  })
}

/** Reads until the length in the header is reached; one byte more is as wrong as one byte less. */
async function readResponse(where: string, read: () => Promise<Buffer>): Promise<Buffer> {
  let response = Buffer.alloc(0)
  for (;;) {
    const part = await unreachable(where, read)
    if (part.length === 0) throw new AttestationError('attester-unreachable', `${where} closed`)
    response = Buffer.concat([response, part])
    const expected = response.length < headerBytes ? headerBytes : response.readUInt32BE(2)
    const isMalformed = expected < headerBytes || expected > maxResponseBytes
    if (isMalformed || response.length > expected) {
      throw new AttestationError('attester-malformed', `length of an answer of ${where}`)
    }
    if (response.length === expected && response.length >= headerBytes) return response
  }
}

async function unreachable<T>(where: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (cause) {
    throw new AttestationError('attester-unreachable', where, { cause })
  }
}

async function inTime<T>(work: Promise<T>, where: string, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new AttestationError('attester-timeout', where))
  }, timeoutMs)
  // What comes after the time is over is nobody's: the transport is closed by then.
  work.catch(() => undefined)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
