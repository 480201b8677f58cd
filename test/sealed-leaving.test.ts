/** Callers of sealed calls who leave before their call is made. */
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import { loadConfig } from '../packages/gateway/src/config/load-config.ts'
import { closeGateway, createGateway } from '../packages/gateway/src/create-gateway.ts'
import { createGatewayServer } from '../packages/gateway/src/http/server.ts'
import type { SealedKeys } from '../packages/gateway/src/keys/sealed-keys.ts'
import { createChatBody } from '../packages/gateway/test/support/chat-call.ts'
import {
  createConfig,
  createGatewayFolder,
} from '../packages/gateway/test/support/start-gateway.ts'
import { createSilentLog } from '../packages/gateway/test/support/silent-log.ts'
import { startLoopbackProvider } from './provider/start.ts'

test('who leaves while a sealed call is opened does not have it made', async () => {
  const provider = await startLoopbackProvider()
  onTestFinished(() => provider.stop())
  const { url, asked, left } = await startWaiting(provider)
  const sealedFetch = createSealedFetch()
  const leaving = new AbortController()
  const call = (prompt: string, signal?: AbortSignal): Promise<Response> =>
    sealedFetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: createChatBody({ model: 'loopback-echo', stream: false, prompt }).toString(),
      ...(signal === undefined ? {} : { signal }),
    })
  const first = call('the first prompt', leaving.signal).catch(() => 'left')
  const goOn = await asked()
  leaving.abort()
  expect(await first).toBe('left')
  await left
  goOn()
  const second = call('the second prompt')
  const goOnAgain = await asked()
  goOnAgain()
  expect(await (await second).text()).toContain('the second prompt')
  // What had been made for the first would have been made before.
  expect(await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })).toHaveLength(1)
})

type Waiting = {
  readonly url: string
  /** Resolves when the next sealed call waits for its place, with what lets it go on. */
  readonly asked: () => Promise<() => void>
  /** Resolves when the gateway has seen a caller leave. */
  readonly left: Promise<unknown>
}

/** A gateway that takes its time between the opening of a sealed call and the call itself, as one with workers does. */
async function startWaiting(
  provider: Awaited<ReturnType<typeof startLoopbackProvider>>,
): Promise<Waiting> {
  const folder = createGatewayFolder()
  const file = join(folder, 'countersign.config.json')
  writeFileSync(file, JSON.stringify(createConfig({ provider })))
  const gateway = await createGateway(loadConfig(file), {}, createSilentLog())
  const { sealed } = gateway
  if (sealed === undefined) throw new Error('no key for sealed calls')
  let next = Promise.withResolvers<() => void>()
  const slow: SealedKeys = {
    ...sealed,
    take: async (encapsulated, nowMs) => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      next.resolve(() => {
        resolve(undefined)
      })
      await promise
      return sealed.take(encapsulated, nowMs)
    },
  }
  const server = createGatewayServer(
    () => ({ ...gateway, sealed: slow }),
    () => true,
  )
  const { promise: left, resolve } = Promise.withResolvers<undefined>()
  server.on('request', (request, response) => {
    response.once('close', () => {
      if (request.url === '/v1/sealed' && !response.writableFinished) resolve(undefined)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
    await closeGateway(gateway)
    rmSync(folder, { recursive: true })
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    left,
    asked: async () => {
      const goOn = await next.promise
      next = Promise.withResolvers()
      return goOn
    },
  }
}
