/** The paths that OpenGradient's clients ask for besides the calls (spec/opengradient.md OG4). */
import type { ServerResponse } from 'node:http'
import { createHash } from 'node:crypto'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { errorHeaders, sendWhole } from '../call/deliver.ts'
import { AttestationError } from '../enclave/attestation-error.ts'
import type { Gateway } from '../call/gateway.ts'
import { sendProblem } from '../receipts/serve-receipts.ts'
import type { OpenGradientProfile } from './open-gradient-signer.ts'

const nonceBytes = 20
const domain = 'countersign/opengradient/v1'

/** Answers one of the paths; false for any other. */
export async function serveOpenGradient(
  { nowMs, log }: Gateway,
  profile: OpenGradientProfile,
  response: ServerResponse,
  url: URL,
): Promise<boolean> {
  switch (url.pathname) {
    case '/health':
      sendJson(response, { status: 'ok' })
      return true
    case '/signing-key':
      sendJson(response, describeKey(profile, nowMs()))
      return true
    case '/enclave/attestation': {
      const nonce = fromHex(url.searchParams.get('nonce') ?? '')
      if (nonce?.length !== nonceBytes) {
        sendProblem(response, 'request-malformed', 'nonce must be 20 bytes in lower-case hex.')
        return true
      }
      try {
        const evidence = await profile.attester.attest(toReportData(profile, nonce), nowMs())
        const text = Buffer.from(evidence).toString('base64')
        sendWhole(response, 200, { 'content-type': 'text/plain' }, Buffer.from(text), undefined)
      } catch (error) {
        if (!(error instanceof AttestationError)) throw error
        log.error({ err: error }, 'no evidence could be made')
        const isBusy = error.code === 'attester-busy'
        sendProblem(response, isBusy ? 'overloaded' : 'attestation-unavailable')
      }
      return true
    }
    default:
      return false
  }
}

function describeKey({ signer, attester }: OpenGradientProfile, nowMs: number): object {
  return {
    public_key: signer.publicKeyPem,
    tee_id: signer.teeId,
    timestamp: new Date(nowMs).toISOString(),
    enclave_info: { platform: attester.kind, version: '1' },
    measurements: null,
  }
}

/** 64 bytes that bind the key and the caller's nonce, apart from those of keysets. */
function toReportData({ signer }: OpenGradientProfile, nonce: Uint8Array): Uint8Array {
  return createHash('sha512').update(domain).update(nonce).update(signer.publicKeyDer).digest()
}

function sendJson(response: ServerResponse, value: object): void {
  sendWhole(response, 200, errorHeaders, Buffer.from(JSON.stringify(value)), undefined)
}
