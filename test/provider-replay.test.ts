import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw } from './provider/raw-client.ts'
import type { RawResult } from './provider/raw-client.ts'
import { absence, hasRecordings, recordingsDir } from './provider/recordings.ts'
import { startLoopbackProvider } from './provider/start.ts'
import type { TlsLoopbackProvider } from './provider/start.ts'

let provider: TlsLoopbackProvider
let ownDir: string
let outsideDir: string
let ownProvider: TlsLoopbackProvider

beforeAll(async () => {
  ownDir = await mkdtemp(join(tmpdir(), 'loopback-recordings-'))
  outsideDir = await mkdtemp(join(tmpdir(), 'loopback-outside-'))
  await writeFile(join(outsideDir, 'outside.json'), '{}')
  await mkdir(join(ownDir, 'openai/chat'), { recursive: true })
  await writeFile(join(ownDir, 'secret.txt'), 'not a recording')
  await writeFile(join(ownDir, 'openai/chat/odd.chunks.txt'), '{"a": 1.0}\n\n{"b":"\\u00e9 ü"}\n')
  await writeFile(join(ownDir, 'openai/chat/odd.json'), '{ "a" : 1.0 }\n\n')
  await symlink(join(outsideDir, 'outside.json'), join(ownDir, 'link.json'))
  await symlink(join(ownDir, 'openai/chat/odd.json'), join(ownDir, 'inner-link.json'))
  ownProvider = await startLoopbackProvider({ recordingsDir: ownDir })
  provider = hasRecordings ? await startLoopbackProvider({ recordingsDir }) : ownProvider
})

afterAll(async () => {
  await provider.stop()
  await ownProvider.stop()
  await rm(ownDir, { recursive: true, force: true })
  await rm(outsideDir, { recursive: true, force: true })
})

async function callReplay(target: TlsLoopbackProvider, path: string): Promise<RawResult> {
  const body = { model: `replay:${path}`, stream: true, messages: [{ role: 'user', content: '' }] }
  return callRaw({
    url: `${target.url}/chat/completions`,
    caPem: target.caPem,
    method: 'POST',
    body: JSON.stringify(body),
  })
}

async function listRecordings(folders: readonly string[], suffix: string): Promise<string[]> {
  const all = await Promise.all(
    folders.map(async (folder) => {
      const files = await readdir(join(recordingsDir, folder))
      return files.filter((file) => file.endsWith(suffix)).map((file) => `${folder}/${file}`)
    }),
  )
  return all.flat()
}

function frameNamed(line: string, member: string): string {
  const payload: unknown = JSON.parse(line)
  const name: unknown = Object.entries(payload ?? {}).find(([key]) => key === member)?.[1]
  return `event: ${String(name)}\ndata: ${line}\n\n`
}

async function readLines(path: string): Promise<string[]> {
  const text = await readFile(join(recordingsDir, path), 'utf8')
  return text.split('\n').filter((line) => line !== '')
}

test.skipIf(!hasRecordings)(
  `replays every chat stream with exactly the bytes of the chat framing${absence}`,
  async () => {
    const paths = await listRecordings(
      ['openai/chat', 'openai/completion', 'xai/native'],
      '.chunks.txt',
    )
    expect(paths.length).toBeGreaterThanOrEqual(3)
    for (const path of paths) {
      const lines = await readLines(path)
      expect(lines.length, path).toBeGreaterThan(3)
      const expected = `${lines.map((line) => `data: ${line}\n\n`).join('')}data: [DONE]\n\n`
      const result = await callReplay(provider, path)
      expect(result.status).toBe(200)
      expect(result.failure).toBeNull()
      expect(result.body.equals(Buffer.from(expected)), path).toBe(true)
    }
  },
)

test.skipIf(!hasRecordings)(
  `replays the other wires with their own framing${absence}`,
  async () => {
    const framings: readonly (readonly [string, (line: string) => string])[] = [
      ['openai/responses', (line) => frameNamed(line, 'type')],
      ['xai/responses', (line) => frameNamed(line, 'type')],
      ['anthropic/native', (line) => frameNamed(line, 'type')],
      ['google/native', (line) => `data: ${line}\r\n\r\n`],
      ['google/interactions', (line) => frameNamed(line, 'event_type')],
    ]
    let replayed = 0
    for (const [folder, frame] of framings) {
      for (const path of await listRecordings([folder], '.chunks.txt')) {
        const expected = (await readLines(path)).map(frame).join('')
        const result = await callReplay(provider, path)
        expect(result.body.equals(Buffer.from(expected)), path).toBe(true)
        replayed++
      }
    }
    expect(replayed).toBeGreaterThan(20)
  },
)

test.skipIf(!hasRecordings)(
  `replays every JSON body of the chat wires byte for byte${absence}`,
  async () => {
    const paths = await listRecordings(['openai/chat', 'openai/completion', 'xai/native'], '.json')
    expect(paths.length).toBeGreaterThanOrEqual(4)
    for (const path of paths) {
      const result = await callReplay(provider, path)
      expect(result.body.equals(await readFile(join(recordingsDir, path))), path).toBe(true)
      expect(result.headers['content-type']).toBe('application/json')
      expect(result.status, path).toBe(path.includes('error') ? 400 : 200)
    }
  },
)

test.skipIf(!hasRecordings)(`gives a recorded error its status${absence}`, async () => {
  const google = await callReplay(provider, 'google/native/google-429-retry-info.json')
  const quota = await callReplay(provider, 'openai/responses/openai-error.1.json')
  expect([google.status, quota.status]).toEqual([429, 429])
})

test('replays lines as they are and skips only empty ones', async () => {
  const stream = await callReplay(ownProvider, 'openai/chat/odd.chunks.txt')
  expect(stream.body.toString()).toBe(
    'data: {"a": 1.0}\n\ndata: {"b":"\\u00e9 ü"}\n\ndata: [DONE]\n\n',
  )
  const json = await callReplay(ownProvider, 'openai/chat/odd.json')
  expect(json.body.toString()).toBe('{ "a" : 1.0 }\n\n')
})

test.each([
  '../package.json',
  'openai/../secret.json',
  'openai/chat/../../odd.json',
  '/etc/passwd.json',
  './openai/chat/odd.json',
  'openai//chat/odd.json',
  'openai\\chat\\odd.json',
  'openai/chat/odd.json\u0000.json',
  'secret.txt',
  'openai/chat',
])('refuses the recording path %j', async (path) => {
  const result = await callReplay(ownProvider, path)
  expect(result.status).toBe(400)
  expect(result.body.toString()).toContain('plain relative path')
})

test('does not follow a link out of the folder', async () => {
  expect((await callReplay(ownProvider, 'inner-link.json')).status).toBe(200)
  expect((await callReplay(ownProvider, 'link.json')).status).toBe(404)
})

test('answers 404 for a recording that is not there', async () => {
  expect((await callReplay(ownProvider, 'openai/chat/absent.json')).status).toBe(404)
})
