/** Evidence from dstack: a TDX quote by way of the socket of its guest agent. */
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { AttestationError } from './attestation-error.ts'
import type { EvidenceSource } from './evidence-source.ts'
import { readHttp } from './read-http.ts'

/** Where dstack's guest agent listens, the newest place first. */
export const dstackSockets = [
  '/var/run/dstack.sock',
  '/run/dstack.sock',
  '/var/run/dstack/dstack.sock',
  '/run/dstack/dstack.sock',
] as const

const maxAnswerBytes = 1_048_576

/** The source behind a socket. The log of events travels as the collateral `dstack-log`. */
export function createDstackSource(socketPath: string, timeoutMs: number): EvidenceSource {
  return {
    kind: 'intel-tdx',
    attest: async (reportData) => {
      const asked = toHex(reportData)
      const { body } = await readHttp(
        { kind: 'socket', socketPath, path: '/GetQuote' },
        JSON.stringify({ report_data: asked }),
        'application/json',
        { maxBytes: maxAnswerBytes, timeoutMs },
      )
      const answer = openAnswer(decodeJson(body))
      // An agent that answers for other report data answers somebody else.
      const answered = answer.get('report_data')
      if (answered !== undefined && answered !== asked) throw malformed('report_data')
      const raw = fromHex(textOf(answer.get('quote'), 'quote'))
      if (raw === undefined || raw.length === 0) throw malformed('quote')
      const log = Buffer.from(textOf(answer.get('event_log'), 'event_log'))
      return { raw, collateral: new Map([['dstack-log', log]]) }
    },
  }
}

function openAnswer(value: JsonValue | undefined): JsonMap {
  if (value instanceof Map) return value
  throw malformed('answer')
}

function textOf(value: unknown, name: string): string {
  if (typeof value !== 'string') throw malformed(name)
  return value
}

function malformed(part: string): AttestationError {
  return new AttestationError('attester-malformed', `${part} of dstack`)
}
