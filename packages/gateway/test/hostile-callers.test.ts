import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let gateway: RunningGateway

beforeAll(async () => {
  gateway = await startGateway({})
})

afterAll(async () => {
  await disposeGateway(gateway)
})

async function readMetric(name: string): Promise<number> {
  const { body } = await callRaw({ url: `${gateway.url}/metrics` })
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1])
}

test('a body in chunks of one byte takes hardly more memory than its bytes', async () => {
  const before = await readMetric('countersign_resident_memory_bytes')
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname).on('error', () => undefined)
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
  )
  const chunks = Buffer.from('1\r\n \r\n'.repeat(100_000))
  for (let part = 0; part < 15; part++) {
    if (!socket.write(chunks)) await once(socket, 'drain')
  }
  socket.write('0\r\n\r\n')
  const [answer] = await once(socket, 'data')
  socket.destroy()
  expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /)
  const grown = (await readMetric('countersign_resident_memory_bytes')) - before
  // The rest is garbage. As a list of pieces it took more than 500 MB.
  expect(grown).toBeLessThan(250_000_000)
})
