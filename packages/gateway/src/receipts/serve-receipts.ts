/** GET /v1/receipts/{id} and /v1/attestation: evidence for callers and auditors. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fromHex, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { withholdClaims } from '@countersign/protocol/receipt/claims'
import { encodeBundle } from '@countersign/protocol/verify/bundle'
import { createErrorBody } from '../call/call-refused.ts'
import { errorHeaders, refusalHeaders, sendWhole } from '../call/deliver.ts'
import type { Gateway } from '../call/gateway.ts'
import { AttestationError } from '../enclave/attestation-error.ts'
import type { Confirmations } from '../keys/confirm-keys.ts'
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import type { Dialect } from '../http/wire-routes.ts'
import type { StoredReceipt } from './receipt-store.ts'

const maxWaitSeconds = 60
const receiptPath = '/v1/receipts/'

/** Answers a request for a receipt: all claims for the holder of its token, none of them for anybody else. */
export async function serveReceipt(
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const id = url.pathname.slice(receiptPath.length)
  const wait = url.searchParams.get('wait') ?? '0'
  if (fromHex(id)?.length !== 16 || !/^[0-9]{1,2}$/.test(wait) || Number(wait) > maxWaitSeconds) {
    sendProblem(response, 'request-malformed')
    return
  }
  const waitMs = Number(wait) * 1000
  await gateway.pending.wait(id, waitMs)
  const receipt = gateway.receipts.get(id) ?? (await gateway.siblings?.findReceipt(id, waitMs))
  const keyset = receipt && gateway.receipts.getKeyset(receipt.keysetDigest)
  if (receipt === undefined || keyset === undefined) {
    sendProblem(response, 'receipt-not-found')
    return
  }
  const isHolder = holdsToken(request, receipt)
  const bundle = encodeBundle({
    statement: receipt.statement,
    claims: isHolder ? receipt.claims : withholdClaims(receipt.claims),
    keyset: keyset.keysetStatement,
    evidence: [keyset.evidence],
    proofs: [],
    ...(isHolder && receipt.events.length > 0 ? { events: receipt.events } : {}),
  })
  sendWhole(response, 200, errorHeaders, Buffer.from(bundle), undefined)
}

/** Answers with the keyset, and evidence that is fresh for the caller's nonce of 32 bytes in hex. */
export async function serveAttestation(
  gateway: Gateway,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const nonce = fromHex(url.searchParams.get('nonce') ?? '')
  if (nonce?.length !== 32) {
    sendProblem(response, 'request-malformed', 'nonce must be 32 bytes in lower-case hex.')
    return
  }
  const shareText = url.searchParams.get('share')
  const share = shareText === null ? undefined : fromHex(shareText)
  if (shareText !== null && share?.length !== 32) {
    sendProblem(response, 'request-malformed', 'share must be 32 bytes in lower-case hex.')
    return
  }
  try {
    const attested = await gateway.epochs.attest(nonce, gateway.nowMs(), share)
    if (attested === undefined) {
      sendProblem(response, 'request-malformed', 'share is no X25519 public key to agree with.')
      return
    }
    const { epoch, evidence, confirmations } = attested
    const body = JSON.stringify({
      keyset: toBase64url(epoch.keysetStatement),
      evidence: {
        kind: evidence.kind,
        nonce: toBase64url(evidence.nonce),
        data: toBase64url(evidence.data),
      },
      confirmations: describeConfirmations(confirmations),
    })
    sendWhole(response, 200, errorHeaders, Buffer.from(body), undefined)
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    gateway.log.error({ err: error }, 'no evidence could be made')
    const isBusy = error.code === 'attester-busy'
    sendProblem(response, isBusy ? 'overloaded' : 'attestation-unavailable')
  }
}

function describeConfirmations({ receipt, settlement, tls, hpke }: Confirmations): object {
  return {
    receipt: toBase64url(receipt),
    ...(settlement === undefined ? {} : { settlement: toBase64url(settlement) }),
    ...(tls === undefined
      ? {}
      : { tls: { key: toBase64url(tls.key), signature: toBase64url(tls.signature) } }),
    ...(hpke === undefined ? {} : { hpke: toBase64url(hpke) }),
  }
}

/** An error of our own outside calls. */
export function sendProblem(
  response: ServerResponse,
  code: GatewayErrorCode,
  detail = '',
  headers: Readonly<Record<string, string>> = {},
  dialect: Dialect = 'openai',
): void {
  const { status } = describeGatewayError(code)
  sendWhole(
    response,
    status,
    refusalHeaders(code, headers),
    createErrorBody(code, detail, dialect),
    undefined,
  )
}

/** The access token that a request shows. */
export function readToken({ headers }: IncomingMessage): string | undefined {
  const bearer = headers.authorization?.startsWith('Bearer ') === true
  const token = headers['x-receipt-token'] ?? (bearer ? headers.authorization?.slice(7) : undefined)
  return typeof token === 'string' ? token : undefined
}

function holdsToken(request: IncomingMessage, receipt: StoredReceipt): boolean {
  const token = readToken(request)
  if (token === undefined) return false
  return timingSafeEqual(hash('sha256', token, 'buffer'), receipt.tokenDigest)
}
