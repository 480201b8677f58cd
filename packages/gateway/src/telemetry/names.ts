/**
 * The names that traces use, in one place: OpenTelemetry's conventions for generative models are in development and
 * change (semantic conventions 1.37). What has no convention begins with `countersign.`.
 */
import type { UpstreamKind, Wire } from '../http/wire-routes.ts'

/** Keys of attributes. */
export const attributeNames = {
  serviceName: 'service.name',
  method: 'http.request.method',
  route: 'http.route',
  status: 'http.response.status_code',
  errorType: 'error.type',
  server: 'server.address',
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  responseModel: 'gen_ai.response.model',
  finishReasons: 'gen_ai.response.finish_reasons',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  receiptId: 'countersign.receipt.id',
  state: 'countersign.state',
  firstByteMs: 'countersign.first_byte_ms',
  chargeScheme: 'countersign.charge.scheme',
  chargeAmount: 'countersign.charge.amount_atomic',
  meteringSource: 'countersign.metering.source',
} as const

/** `gen_ai.operation.name` of each wire. */
export const operationNames: Readonly<Record<Wire, string>> = {
  'openai-chat': 'chat',
  'openai-responses': 'chat',
  'openai-stored-response': 'stored_response',
  'openai-completions': 'text_completion',
  'openai-embeddings': 'embeddings',
  'openai-images': 'image_generation',
  'openai-audio': 'audio',
  'openai-moderations': 'moderation',
  'anthropic-messages': 'chat',
  'anthropic-count-tokens': 'count_tokens',
  'google-generate': 'generate_content',
  'google-stream': 'generate_content',
  'google-count': 'count_tokens',
  'google-embed': 'embeddings',
}

/** `gen_ai.provider.name` of each kind of upstream. */
export const providerNames: Readonly<Record<UpstreamKind, string>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'gcp.gemini',
  xai: 'x_ai',
}

/** The name of the process in traces. */
export const serviceName = 'countersign-gateway'
