/** Puts OpenGradient's members into the answers of calls that ask for them (spec/opengradient.md). */
import { refuse } from '../call/call-refused.ts'
import type { CallRequest } from '../call/call-request.ts'
import type { Gateway } from '../call/gateway.ts'
import type { Call } from '../call/open-call.ts'
import type { StreamOutcome, StreamTranslator } from '../translation/translate-answer.ts'
import { createSignedStream, type AnswerSigning } from './open-gradient-answer.ts'
import { hashRequest, NotHashable, type SignedWire } from './open-gradient-hash.ts'

/** Every client of OpenGradient sends it. */
const header = 'x-settlement-type'
const finished: StreamOutcome = { kind: 'finished' }

/**
 * What the answer of a call is signed with; `undefined` where nobody asked for that, or it is switched off.
 *
 * @throws CallRefused `request-malformed` for a request that the profile cannot hash, and for one whose answer is
 *   translated: nothing is paid then.
 */
export function prepareSigning(
  { openGradient, nowMs }: Gateway,
  { request }: Call,
  { route, body }: CallRequest,
  isTranslated: boolean,
): AnswerSigning | undefined {
  if (openGradient === undefined || request.headers[header] === undefined) return undefined
  if (!isSigned(route.wire)) return undefined
  if (isTranslated) {
    throw refuse('request-malformed', `${header}: answers of another wire are not signed so.`)
  }
  try {
    const requestHash = hashRequest(route.wire, body.toString('utf8'))
    return { wire: route.wire, signer: openGradient.signer, requestHash, nowMs }
  } catch (error) {
    if (!(error instanceof NotHashable)) throw error
    throw refuse('request-malformed', `${header}: ${error.message}.`, error)
  }
}

/** A stream on its way through the profile. */
export function signStream(
  signing: AnswerSigning,
  write: (bytes: Buffer) => boolean,
): StreamTranslator {
  const stream = createSignedStream(signing)
  const outcome = Promise.withResolvers<StreamOutcome>()
  return {
    push: (bytes) => {
      const pieces = stream.push(bytes)
      if (pieces.length > 0) write(Buffer.concat(pieces))
    },
    outcome: outcome.promise,
    end: () => {
      const rest = stream.end()
      if (rest.length > 0) write(rest)
      outcome.resolve(finished)
      return outcome.promise
    },
  }
}

function isSigned(wire: string): wire is SignedWire {
  return wire === 'openai-chat' || wire === 'openai-completions'
}
