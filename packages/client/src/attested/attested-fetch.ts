/**
 * `fetch` for Node that speaks only to TLS keys that stand in an attested keyset: certificates and authorities count
 * for nothing, evidence does. Browsers do not show a page which key answered; there use sealed calls.
 */
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { Duplex, Readable } from 'node:stream'
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { ClientError } from '../errors.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import { choosePolicy } from '../receipt/choose-policy.ts'
import { attestTls, type AttestedTls } from './attest-tls.ts'
import { openTls, type TlsConnection } from './open-tls.ts'

/** Options of `createAttestedFetch`. */
export type AttestedFetchOptions = {
  /**
   * Bytes of a policy of receipts. Default: `productionPolicy` where `judgeEvidence` is given, else `defaultPolicy`, which
   * accepts SIMULATED evidence.
   */
  readonly policy?: Uint8Array
  /** Judges evidence of hardware (`createEvidenceVerifier`). */
  readonly judgeEvidence?: EvidenceVerifier
  /** Called with each verdict that connections are opened on. */
  readonly onAttestation?: (verdict: AttestationVerdict, origin: string) => void
  readonly now?: () => number
  /** Longest wait for a connection, and for an attestation; default 30 seconds. */
  readonly timeoutMs?: number
}

/** The function, and the end of its connections. */
export type AttestedFetch = UnderlyingFetch & { close(): void }

/**
 * Makes the function: pass it to `countersignFetch` as `fetch`. Every new connection shows a key that the last
 * attestation of its origin lists, or a new attestation is asked for and judged first; nothing of a call is sent
 * before. It follows no redirects.
 *
 * @example
 * const fetch = createAttestedFetch({ policy, judgeEvidence: createEvidenceVerifier(evidencePolicy) })
 * const paidFetch = countersignFetch({ baseUrl, account, maxAmountAtomic, budgetAtomic, fetch })
 */
export function createAttestedFetch(options: AttestedFetchOptions = {}): AttestedFetch {
  const settings = {
    policy: choosePolicy(options.policy, options.judgeEvidence),
    judgeEvidence: options.judgeEvidence,
    now: options.now ?? Date.now,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  }
  // Owned here: what was attested last at each origin, and the attestations under way.
  const attested = new Map<string, AttestedTls>()
  const underWay = new Map<string, Promise<AttestedTls>>()

  function attest(origin: string): Promise<AttestedTls> {
    const running = underWay.get(origin)
    if (running !== undefined) return running
    const started = attestTls(origin, settings)
      .then((found) => {
        attested.set(origin, found)
        options.onAttestation?.(found.verdict, origin)
        return found
      })
      .finally(() => underWay.delete(origin))
    underWay.set(origin, started)
    return started
  }

  async function connect(origin: string): Promise<TlsConnection> {
    const connection = await openTls(origin, settings.timeoutMs)
    try {
      const known = attested.get(origin)
      const isKnown = known !== undefined && allows(known, connection, settings.now())
      const judged = isKnown ? known : await attest(origin)
      if (!allows(judged, connection, settings.now())) throw new ClientError('tls-key-not-attested')
      limitLife(connection, judged.notAfterMs - settings.now())
      return connection
    } catch (error) {
      connection.socket.destroy()
      throw error
    }
  }

  async function connectFor(origin: string, settle: Settle | undefined): Promise<void> {
    const [error, stream] = await connect(origin).then(
      ({ socket }): Parameters<Settle> => [null, socket],
      (cause: unknown): Parameters<Settle> => [new Error('not connected', { cause }), new Duplex()],
    )
    settle?.(error, stream)
  }

  const agents = new Map<string, Agent>()
  function agentOf(origin: string): Agent {
    const agent = agents.get(origin) ?? new Agent({ keepAlive: true, maxCachedSessions: 0 })
    agents.set(origin, agent)
    agent.createConnection = (_, callback) => {
      void connectFor(origin, callback)
      return undefined
    }
    return agent
  }

  const call: UnderlyingFetch = async (url, init) => {
    const request = new Request(url, { ...init, redirect: 'manual' })
    const { protocol, origin } = new URL(request.url)
    if (protocol !== 'https:') throw new ClientError('options-invalid', { detail: 'no https URL' })
    const body = new Uint8Array(await request.arrayBuffer())
    return send(request, body, agentOf(origin), init.redirect === 'error')
  }
  return Object.assign(call, {
    close: () => {
      for (const agent of agents.values()) agent.destroy()
    },
  })
}

type Settle = (error: Error | null, stream: Duplex) => void

const defaultTimeoutMs = 30_000
const withoutBody = new Set([101, 204, 205, 304])
const redirects = new Set([301, 302, 303, 307, 308])

function allows(attested: AttestedTls, { spki }: TlsConnection, nowMs: number): boolean {
  return attested.notAfterMs >= nowMs && Buffer.compare(attested.spki, spki) === 0
}

/** A connection ends with the keyset that it was opened under. */
function limitLife({ socket }: TlsConnection, lifeMs: number): void {
  const timer = setTimeout(() => socket.destroy(), lifeMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}

function send(
  request: Request,
  body: Uint8Array,
  agent: Agent,
  refusesRedirects: boolean,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { method, signal } = request
    const length = method === 'GET' || method === 'HEAD' ? {} : { 'content-length': body.length }
    const headers = { ...Object.fromEntries(request.headers), ...length }
    const sent = httpsRequest(request.url, { method, headers, agent, signal })
    sent.once('error', (error) => {
      // What refused the connection is what the caller has to know.
      reject(error.cause instanceof ClientError ? error.cause : error)
    })
    sent.once('response', (answer) => {
      if (refusesRedirects && redirects.has(answer.statusCode ?? 0)) {
        answer.destroy()
        reject(new ClientError('redirect-refused'))
      } else resolve(toResponse(answer))
    })
    sent.end(body)
  })
}

function toResponse(answer: IncomingMessage): Response {
  const status = answer.statusCode ?? 0
  const headers = new Headers()
  for (let at = 0; at < answer.rawHeaders.length; at += 2) {
    headers.append(answer.rawHeaders[at] ?? '', answer.rawHeaders[at + 1] ?? '')
  }
  if (withoutBody.has(status)) {
    answer.resume()
    return new Response(null, { status, headers })
  }
  return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status, headers })
}
