/**
 * Random splits of streams through a real gateway over real sockets: whatever the pieces, the caller gets the same bytes
 * and the receipt says the same hashes, events and usage.
 */
import { createHash } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import { chainDigests } from '@countersign/protocol/receipt/event-chain'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { verify } from '@countersign/protocol/verify/verify'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { readReceipt, type PlainObject } from '../../packages/gateway/test/support/receipts.ts'
import { disposeGateway, startGateway } from '../../packages/gateway/test/support/start-gateway.ts'
import { createWireCall, everyUpstream } from '../../packages/gateway/test/support/wire-calls.ts'
import { createRandom, type Random } from '../tampering/random.ts'
import { startRawUpstream } from './raw-upstream.ts'
import { sendWhole, splitBody, type SplitAnswer } from './split-body.ts'
import { createDocument, cutElements, type StreamDocument } from './stream-document.ts'

/** What a campaign did. `faults` are the first ten. */
export interface SplitReport {
  readonly seed: number
  readonly splits: number
  readonly documents: number
  readonly pieces: number
  readonly bytes: number
  readonly bigEvents: number
  readonly cutStreams: number
  readonly verified: number
  readonly byKind: Readonly<Record<string, number>>
  readonly faults: readonly string[]
}

const splitsEach = 20
const bigBytes = 1_048_576
const defaultBigEvery = 500
const verifyEvery = 100
const lanes = 6

/** How a campaign may differ. */
export interface SplitOptions {
  readonly onProgress?: (splits: number) => void
  /** Changes what is sent for a split: a campaign that finds nothing then is blind. */
  readonly spoil?: (body: Buffer) => Buffer
  /** A document with an event of a megabyte among so many. */
  readonly bigEvery?: number
}

/** Runs `count` splits from a seed. */
export async function fuzzSplits(
  count: number,
  seed: number,
  options: SplitOptions = {},
): Promise<SplitReport> {
  const answers = new Map<string, SplitAnswer>()
  const upstream = await startRawUpstream((body) => {
    const name = /"case":"(\d+)"/.exec(body)?.[1] ?? ''
    return answers.get(name)?.writes ?? []
  })
  try {
    const gateway = await startGateway({
      config: { upstreams: everyUpstream(upstream) },
      logLevel: 'error',
    })
    const agent = new Agent({ keepAlive: true, maxSockets: lanes })
    const campaign = createCampaign(seed)
    // Owned here: the next document; each lane takes one after another.
    let next = 0
    const lane = async (): Promise<void> => {
      while (campaign.splits < count) {
        const index = next++
        await runDocument({ campaign, answers, agent, origin: gateway.url, index, options })
        options.onProgress?.(campaign.splits)
      }
    }
    try {
      await Promise.all(Array.from({ length: lanes }, lane))
    } finally {
      agent.destroy()
      await disposeGateway(gateway)
    }
    const { random: _, ...counts } = campaign
    return { ...counts, seed }
  } finally {
    await upstream.stop()
  }
}

type Campaign = {
  readonly random: Random
  splits: number
  documents: number
  pieces: number
  bytes: number
  bigEvents: number
  cutStreams: number
  verified: number
  readonly byKind: Record<string, number>
  readonly faults: string[]
}

function createCampaign(seed: number): Campaign {
  return {
    random: createRandom(seed),
    splits: 0,
    documents: 0,
    pieces: 0,
    bytes: 0,
    bigEvents: 0,
    cutStreams: 0,
    verified: 0,
    byKind: {},
    faults: [],
  }
}

interface DocumentRun {
  readonly campaign: Campaign
  readonly answers: Map<string, SplitAnswer>
  readonly agent: Agent
  readonly origin: string
  readonly index: number
  readonly options: SplitOptions
}

/** One document: first whole, then in random splits that must look the same from outside. */
async function runDocument(run: DocumentRun): Promise<void> {
  const { campaign, index, options } = run
  const { spoil = (body: Buffer) => body, bigEvery = defaultBigEvery } = options
  // A seed of its own: the order of the lanes changes nothing.
  const random = createRandom(campaign.random.seed + index * 7919)
  const isBig = index % bigEvery === bigEvery - 1
  const document = createDocument(random, isBig ? bigBytes : 0)
  campaign.documents++
  campaign.bigEvents += isBig ? 1 : 0
  const expected = await runCase(run, document, sendWhole(document.body), 0)
  judgeClaims(campaign, document, expected, `seed ${String(random.seed)}, whole`)
  for (let split = 1; split <= splitsEach; split++) {
    const answer = splitBody(random, spoil(document.body))
    const claims = await runCase(run, document, answer, split)
    if (!isDeepStrictEqual(claims, expected)) {
      fault(campaign, `seed ${String(random.seed)}, split ${String(split)}: other claims`)
    }
    campaign.splits++
    campaign.pieces += answer.pieces
    campaign.bytes += document.body.length
    campaign.byKind[answer.kind] = (campaign.byKind[answer.kind] ?? 0) + 1
    if (!document.isTerminated) campaign.cutStreams++
  }
}

/** One call. @returns what its receipt says of the answer. */
async function runCase(
  { campaign, answers, agent, origin, index }: DocumentRun,
  document: StreamDocument,
  answer: SplitAnswer,
  split: number,
): Promise<PlainObject> {
  const name = String(index * 100 + split)
  const where = `document ${String(index)}, split ${String(split)} (${answer.kind})`
  answers.set(name, answer)
  try {
    const more = document.wire === 'stream-generate' ? {} : { stream: true }
    const call = createWireCall(document.wire, 'fuzz', { ...more, case: name })
    const answered = await send(origin + call.path, 'POST', agent, call.headers, call.body)
    if (!answered.body.equals(document.body)) fault(campaign, `${where}: other bytes`)
    // What does not end as its wire ends is cut: nobody may take it for whole.
    if (answered.isComplete !== document.isTerminated) fault(campaign, `${where}: other end`)
    const { 'x-receipt-id': id, 'x-receipt-token': token } = answered.headers
    const url = `${origin}/v1/receipts/${String(id)}?wait=60`
    const authorization = `Bearer ${String(token)}`
    const fetched = await send(url, 'GET', agent, { authorization })
    if (Number(name) % verifyEvery === 7) {
      const held = { request: call.body, response: answered.body }
      const verdict = await verify(fetched.body, defaultPolicy, Date.now(), held)
      if (verdict.verdict !== 'valid') fault(campaign, `${where}: ${verdict.verdict}`)
      campaign.verified++
    }
    const { claims } = readReceipt(fetched.body)
    const { response, stream, usage, outcome, model } = claims
    const upstream = claims['upstream-response']
    return {
      response: response ?? null,
      upstream: upstream ?? null,
      stream: stream ?? null,
      usage: usage ?? null,
      outcome: outcome ?? null,
      model: model ?? null,
    }
  } finally {
    answers.delete(name)
  }
}

/** The claims against hashes that are computed here, by another way to cut events. */
function judgeClaims(
  campaign: Campaign,
  { body, isTerminated }: StreamDocument,
  claims: PlainObject,
  where: string,
): void {
  const digests = cutElements(body).map((element) => createHash('sha256').update(element).digest())
  const { events, head } = chainDigests(Buffer.concat(digests))
  const sha256 = createHash('sha256').update(body).digest('hex')
  const { response, upstream, stream, outcome } = claims
  const bytes = body.length
  const expected = [
    [response, { bytes, sha256, status: 200, transform: 'identity' }],
    [upstream, { bytes, sha256, status: 200 }],
    [stream, { events, head: toHex(head) }],
  ] as const
  for (const [claim, value] of expected) {
    if (!isDeepStrictEqual(claim, value)) fault(campaign, `${where}: ${JSON.stringify(claim)}`)
  }
  const state = isTerminated ? '"complete"' : '"upstream-error"'
  if (!JSON.stringify(outcome).includes(state)) fault(campaign, `${where}: not ${state}`)
}

function fault(campaign: Campaign, text: string): void {
  if (campaign.faults.length < 10) campaign.faults.push(text)
}

interface Answered {
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly isComplete: boolean
}

async function send(
  url: string,
  method: string,
  agent: Agent,
  headers: Readonly<Record<string, string>>,
  body?: Buffer,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, agent, headers }, (response) => {
      const pieces: Buffer[] = []
      const end = (isComplete: boolean) => () => {
        resolve({ headers: response.headers, body: Buffer.concat(pieces), isComplete })
      }
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.once('end', end(true))
      response.once('error', end(false))
    })
    request.once('error', reject)
    request.end(body)
  })
}
