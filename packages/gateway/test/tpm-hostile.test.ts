/** TPMs, and things in their place, that answer what they should not. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createHttpChallenger } from '../src/enclave/tpm/http-challenger.ts'
import { serveText } from './support/serve-text.ts'
import {
  createPrimary,
  hasSha256Bank,
  quotePcrs,
  readPcrs,
  startup,
  type TpmKey,
} from '../src/enclave/tpm/tpm-client.ts'
import { readNv } from '../src/enclave/tpm/tpm-nv.ts'
import { parseTpmPublic } from '@countersign/protocol/attestation/tpm/tpm-public'
import { attestationKeyTemplate } from '../src/enclave/tpm/tpm-templates.ts'
import { openTpm, type TpmTransport } from '../src/enclave/tpm/tpm-transport.ts'

let folder: string
let server: Server | undefined
const sockets = new Set<Socket>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-hostile-tpm-'))
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  if (server?.listening === true) {
    server.close()
    await once(server, 'close')
  }
  rmSync(folder, { recursive: true, force: true })
})

/** A TPM that gives these answers, one for each command; `undefined` hangs up, an empty one stays silent. */
async function openScripted(
  answers: readonly (Buffer | undefined)[],
  timeoutMs = 60_000,
): Promise<TpmTransport> {
  const path = join(folder, 'tpm.sock')
  let next = 0
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => {
      const answer = answers[next++]
      if (answer === undefined) socket.destroy()
      else socket.write(answer)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return openTpm({ kind: 'unix', path }, timeoutMs)
}

function frame(tag: number, code: number, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(10)
  head.writeUInt16BE(tag, 0)
  head.writeUInt32BE(10 + body.length, 2)
  head.writeUInt32BE(code, 6)
  return Buffer.concat([head, body])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const sizes = (length: number): Buffer => {
  const bytes = frame(0x8001, 0)
  bytes.writeUInt32BE(length, 2)
  return bytes
}

test('names what is wrong with an answer', async () => {
  const rows: readonly (readonly [string, Buffer | undefined, string])[] = [
    ['a TPM that hangs up', undefined, 'attester-unreachable'],
    ['a length below that of a head', sizes(9), 'attester-malformed'],
    ['a length above 4,096', sizes(4097), 'attester-malformed'],
    [
      'a byte more than announced',
      Buffer.concat([frame(0x8001, 0), Buffer.of(0)]),
      'attester-malformed',
    ],
    ['a tag with sessions where none was sent', frame(0x8002, 0), 'attester-malformed'],
    ['a code that is no success', frame(0x8001, 0x101), 'attester-refused'],
  ]
  for (const [name, answer, code] of rows) {
    const tpm = await openScripted([answer])
    await expect(startup(tpm), name).rejects.toMatchObject({ code })
    await tpm.close()
    server?.close()
  }
})

test('gives up on a TPM that says nothing, and on one that never ends', async () => {
  const tpm = await openScripted([Buffer.alloc(0)], 50)
  await expect(startup(tpm)).rejects.toMatchObject({ code: 'attester-timeout' })
  await tpm.close()
  server?.close()
  const half = await openScripted([frame(0x8001, 0).subarray(0, 7)], 50)
  await expect(startup(half)).rejects.toMatchObject({ code: 'attester-timeout' })
  await half.close()
})

test('asks again when told to, and not for ever', async () => {
  const retry = frame(0x8001, 0x922)
  const patient = await openScripted([
    retry,
    frame(0x8001, 0x908),
    frame(0x8001, 0x90a),
    frame(0x8001, 0),
  ])
  await startup(patient)
  await patient.close()
  server?.close()
  const endless = await openScripted(Array.from({ length: 100 }, () => retry))
  await expect(startup(endless)).rejects.toMatchObject({ responseCode: 0x922 })
  await endless.close()
})

const ak: TpmKey = {
  handle: 0x80000000,
  public: parseTpmPublic(
    Buffer.concat([
      attestationKeyTemplate.subarray(0, -4),
      Buffer.of(0, 32),
      Buffer.alloc(32, 1),
      Buffer.of(0, 32),
      Buffer.alloc(32, 1),
    ]),
  ),
}
const session = Buffer.of(0, 0, 1, 0, 0)
const withSession = (parameters: Buffer): Buffer =>
  frame(0x8002, 0, Buffer.concat([u32(parameters.length), parameters, session]))
const selection = Buffer.of(0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0)
const wrongAnswers: readonly (readonly [
  string,
  Buffer,
  (tpm: TpmTransport) => Promise<unknown>,
])[] = [
  [
    'no public area',
    frame(0x8002, 0, Buffer.concat([u32(1), u32(0), session])),
    (tpm) => createPrimary(tpm, attestationKeyTemplate),
  ],
  [
    'parameters that end behind the answer',
    frame(0x8002, 0, Buffer.concat([u32(99), session])),
    (tpm) => quotePcrs(tpm, ak, Buffer.alloc(32), [0]),
  ],
  [
    'bytes behind the session',
    frame(0x8002, 0, Buffer.concat([u32(0), session, Buffer.of(0)])),
    (tpm) => quotePcrs(tpm, ak, Buffer.alloc(32), [0]),
  ],
  [
    'a quote that is none',
    withSession(Buffer.of(0, 1, 7)),
    (tpm) => quotePcrs(tpm, ak, Buffer.alloc(32), [0]),
  ],
  [
    'no PCR value',
    frame(0x8001, 0, Buffer.concat([u32(0), selection, u32(0)])),
    (tpm) => readPcrs(tpm, [0]),
  ],
  [
    'a PCR value of 20 bytes',
    frame(
      0x8001,
      0,
      Buffer.concat([u32(0), selection, u32(1), Buffer.of(0, 20), Buffer.alloc(20)]),
    ),
    (tpm) => readPcrs(tpm, [0]),
  ],
  [
    'two PCR values',
    frame(0x8001, 0, Buffer.concat([u32(0), selection, u32(2)])),
    (tpm) => readPcrs(tpm, [0]),
  ],
  [
    'a capability with bytes behind',
    frame(0x8001, 0, Buffer.concat([Buffer.of(0), u32(5), u32(0), Buffer.of(1)])),
    hasSha256Bank,
  ],
  [
    'an NV index of 65,535 bytes',
    frame(
      0x8001,
      0,
      Buffer.concat([
        Buffer.of(0, 14),
        u32(1),
        Buffer.of(0, 11),
        u32(0),
        Buffer.of(0, 0),
        Buffer.of(0xff, 0xff),
      ]),
    ),
    (tpm) => readNv(tpm, 1),
  ],
]

test('takes no answer apart that has other parts than it must have', async () => {
  for (const [name, answer, task] of wrongAnswers) {
    const tpm = await openScripted([answer])
    await expect(task(tpm), name).rejects.toMatchObject({ code: 'attester-malformed' })
    await tpm.close()
    server?.close()
  }
  const other = await openScripted([
    frame(0x8001, 0, Buffer.concat([Buffer.of(0), u32(5), u32(0)])),
  ])
  expect(await hasSha256Bank(other)).toBe(false)
  await other.close()
})

test('a piece of NV that is shorter than asked for is refused', async () => {
  const area = Buffer.concat([
    Buffer.of(0, 0, 0, 1),
    Buffer.of(0, 11),
    Buffer.alloc(4),
    Buffer.of(0, 0),
    Buffer.of(0, 8),
  ])
  const parameters = Buffer.concat([Buffer.of(0, 4), Buffer.alloc(4)])
  const length = Buffer.of(0, 0, 0, parameters.length)
  const tpm = await openScripted([
    frame(0x8001, 0, Buffer.concat([Buffer.of(0, area.length), area])),
    frame(0x8002, 0, Buffer.concat([length, parameters, Buffer.of(0, 0, 1, 0, 0)])),
  ])
  await expect(readNv(tpm, 1)).rejects.toMatchObject({ code: 'attester-malformed' })
  await tpm.close()
})

test('says that there is no TPM where there is none', async () => {
  const nowhere = join(folder, 'nothing')
  for (const kind of ['unix', 'device'] as const) {
    await expect(openTpm({ kind, path: nowhere }, 1000)).rejects.toMatchObject({
      code: 'attester-unreachable',
    })
  }
  await expect(openTpm({ kind: 'tcp', host: '127.0.0.1', port: 1 }, 1000)).rejects.toMatchObject({
    code: 'attester-unreachable',
  })
})

test('a challenger cannot choose where the answer goes, and what it refuses is refused', async () => {
  const answers: readonly (readonly [Readonly<Record<string, string>>, number, string])[] = [
    [{}, 200, 'attester-malformed'],
    [{ 'x-challenge-id': '../../admin' }, 200, 'attester-malformed'],
    [{ 'x-challenge-id': 'ab'.repeat(16) }, 403, 'attester-refused'],
  ]
  for (const [headers, status, code] of answers) {
    const challenger = await serveText({ status, headers, body: 'x' })
    const asked = createHttpChallenger(`${challenger.url}/`, 60_000).challenge(Buffer.of(1))
    await expect(asked).rejects.toMatchObject({ code })
    await challenger.stop()
  }
  const large = await serveText({ status: 200, headers: {}, body: 'x'.repeat(65_537) })
  await expect(
    createHttpChallenger(large.url, 60_000).conclude('0', Buffer.of(1)),
  ).rejects.toMatchObject({ code: 'attester-malformed' })
  await large.stop()
  await expect(
    createHttpChallenger(large.url, 60_000).conclude('0', Buffer.of(1)),
  ).rejects.toMatchObject({ code: 'attester-unreachable' })
})
