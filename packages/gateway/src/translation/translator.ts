/**
 * Translation between wires, as the gateway and `countersign verify --replay` use it (spec/translation.md). Both
 * directions are pure functions of bytes, of names in the receipt, and of the code that `adapterDigest` names.
 */
import type { Adapter } from './adapters.ts'
import { loadSdk, type Sdk } from './sdk.ts'
import {
  createStreamTranslator,
  translateError,
  translateWhole,
  type AnswerContext,
  type StreamTranslator,
} from './translate-answer.ts'
import { translateRequest, type TranslatedRequest } from './translate-request.ts'

/** The translations, with the SDK that they use. */
export type Translator = {
  /** @throws NotTranslatable */
  request(adapter: Adapter, upstreamModel: string, body: Buffer): Promise<TranslatedRequest>
  /** @throws AnswerNotTranslatable */
  whole(context: AnswerContext, body: Buffer): Promise<Buffer>
  stream(context: AnswerContext, write: (bytes: Buffer) => boolean): StreamTranslator
  error(adapter: Adapter, status: number, body: Buffer): Buffer
}

/** Loads the SDK. */
export async function loadTranslator(): Promise<Translator> {
  return createTranslator(await loadSdk())
}

function createTranslator(sdk: Sdk): Translator {
  return {
    request: (adapter, upstreamModel, body) => translateRequest(sdk, adapter, upstreamModel, body),
    whole: (context, body) => translateWhole(sdk, context, body),
    stream: (context, write) => createStreamTranslator(sdk, context, write),
    error: translateError,
  }
}
