/** Kinds of use that are counted apart and priced apart (spec/metering.md ME2.1). */

/** Every kind, in the order of ME2.1. No unit of use counts in two of them. */
export const usageKinds = [
  'input',
  'input-audio',
  'input-image',
  'input-video',
  'cache-read',
  'cache-read-audio',
  'cache-read-image',
  'cache-read-video',
  'cache-write-5m',
  'cache-write-1h',
  'output',
  'output-audio',
  'output-image',
  'output-video',
  'reasoning',
  'audio-second',
  'image',
  'web-search',
  'web-fetch',
  'file-search',
  'code-session',
  'server-tool',
  'source',
] as const

/** A kind of use. Tokens, unless its name says otherwise. */
export type UsageKind = (typeof usageKinds)[number]

/** Kinds whose tokens went in, cache included. */
export const inputKinds: readonly UsageKind[] = usageKinds.slice(0, 10)
