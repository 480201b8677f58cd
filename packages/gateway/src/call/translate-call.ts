/** Puts a translation between a call and its upstream, where the caller's wire is another one (spec/translation.md). */
import { hash } from 'node:crypto'
import type { Adapter } from '../translation/adapters.ts'
import { adapterVersion } from '../translation/adapters.ts'
import { NotTranslatable } from '../translation/members.ts'
import type { Translator } from '../translation/translator.ts'
import type { CallRequest } from './call-request.ts'
import { refuse } from './call-refused.ts'
import type { ForwardedRequest } from './forward-request.ts'
import type { Call } from './open-call.ts'
import { once } from './once.ts'

/** What one call is translated with. */
export type CallTranslation = {
  readonly translator: Translator
  readonly adapter: Adapter
  readonly upstreamModel: string
}

// They ask for features by names that the other provider does not know.
const wireHeaders = ['anthropic-beta', 'openai-beta'] as const

/** How a receipt names an adapter (spec/translation.md TR6). */
function nameTransform({ name }: Adapter): string {
  return `${name}/${adapterVersion}`
}

/**
 * Makes the request for an upstream of another wire.
 *
 * @throws CallRefused `request-not-translatable`, which names the member: nothing is paid then.
 */
export async function forwardTranslated(
  { request: { headers, url = '' }, path, idHex, receivedMs }: Call,
  request: CallRequest,
  { translator, adapter, upstreamModel }: CallTranslation,
): Promise<ForwardedRequest> {
  const header = wireHeaders.find((name) => headers[name] !== undefined)
  if (header !== undefined) throw refuseMember(`header ${header}`, 'belongs to another wire')
  if (url.length > path.length) throw refuseMember('query', 'belongs to another wire')
  try {
    const made = await translator.request(adapter, upstreamModel, request.body)
    const context = { adapter, upstreamModel, caller: made.caller, id: idHex, receivedMs }
    return {
      body: made.body,
      bodyDigest: once(() => hash('sha256', made.body, 'buffer')),
      path: made.path,
      transform: nameTransform(adapter),
      addsUsage: false,
      translation: {
        adapter,
        headers: made.headers,
        isStream: made.caller.isStream,
        whole: async (body) => translator.whole(context, body),
        stream: (write) => translator.stream(context, write),
        error: (status, body) => translator.error(adapter, status, body),
      },
    }
  } catch (error) {
    if (error instanceof NotTranslatable) throw refuseMember(error.member, error.message, error)
    throw error
  }
}

function refuseMember(member: string, reason: string, cause?: unknown): ReturnType<typeof refuse> {
  return refuse('request-not-translatable', `"${member}" ${reason}.`, cause)
}
