/** Puts OpenGradient's members into the answers of calls that ask for them (spec/opengradient.md). */
import { refuse } from '../call/call-refused.ts'
import type { CallRequest } from '../call/call-request.ts'
import type { Gateway } from '../call/gateway.ts'
import type { Call } from '../call/open-call.ts'
import type { AnswerSigning } from './open-gradient-answer.ts'
import { hashRequest, NotHashable, type SignedWire } from './open-gradient-hash.ts'

/** Every client of OpenGradient sends it. */
const header = 'x-settlement-type'

/**
 * What the answer of a call is signed with; `undefined` where nobody asked for that, or it is switched off.
 *
 * @throws CallRefused `request-malformed` for a request that the profile cannot hash: nothing is paid then.
 */
export function prepareSigning(
  { openGradient, nowMs }: Gateway,
  { request }: Call,
  { route, body }: CallRequest,
): AnswerSigning | undefined {
  if (openGradient === undefined || request.headers[header] === undefined) return undefined
  if (!isSigned(route.wire)) return undefined
  try {
    const requestHash = hashRequest(route.wire, body.toString('utf8'))
    return { wire: route.wire, signer: openGradient.signer, requestHash, nowMs }
  } catch (error) {
    if (!(error instanceof NotHashable)) throw error
    throw refuse('request-malformed', `${header}: ${error.message}.`, error)
  }
}

function isSigned(wire: string): wire is SignedWire {
  return wire === 'openai-chat' || wire === 'openai-completions'
}
