/** A tiny HTTP server that sells answers through a payment scheme, in the order of the gateway. */
import { hash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { describeGatewayError } from '../../src/errors.ts'
import type { PaymentScheme, Refusal } from '../../src/payment/admission.ts'

/** A listening server. */
export type PaidServer = { readonly url: string; stop(): Promise<void> }

/** Called between the steps of each call; what it returns is awaited. */
export type AtStep = (step: 'admitted' | 'released') => Promise<void> | void

/** Sells an answer that names its receipt and its charge. A body of `fail` fails upstream. */
export async function startPaidServer(
  scheme: PaymentScheme,
  priceAtomic: bigint,
  atStep: AtStep = () => undefined,
): Promise<PaidServer> {
  const server = createServer((request, response) => {
    handle(scheme, priceAtomic, atStep, request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined)
    })
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
}

async function handle(
  scheme: PaymentScheme,
  priceAtomic: bigint,
  atStep: AtStep,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  const body = Buffer.concat(chunks)
  const receiptId = randomBytes(16)
  const admission = await scheme.admit({
    receiptId,
    method: request.method ?? '',
    path: request.url ?? '',
    bodyDigest: () => hash('sha256', body, 'buffer'),
    headers: request.headers,
    model: 'm',
    priceAtomic,
    isPricedByUse: false,
  })
  if (admission.kind === 'refused') return refuse(response, admission.refusal)
  if (admission.kind === 'replay') return answer(response, {}, { replay: admission.receiptId })
  const { payment } = admission
  await atStep('admitted')
  if (body.toString() === 'fail') {
    const charge = await payment.complete('unused')
    response.writeHead(502)
    response.end(`${charge.amountAtomic}`)
    return
  }
  const release = await payment.release()
  if (release.kind === 'refused') {
    await payment.complete('unused')
    return refuse(response, release.refusal)
  }
  await atStep('released')
  const charge = await payment.complete('used')
  answer(response, release.headers, {
    receiptId: toHex(receiptId),
    amountAtomic: `${charge.amountAtomic}`,
  })
}

function answer(
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  body: Readonly<Record<string, string>>,
): void {
  response.writeHead(200, { ...headers, 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function refuse(response: ServerResponse, { code, headers }: Refusal): void {
  response.writeHead(describeGatewayError(code).status, {
    ...headers,
    'content-type': 'application/json',
  })
  response.end(JSON.stringify({ code }))
}
