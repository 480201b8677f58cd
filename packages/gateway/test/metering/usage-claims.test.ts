import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { expect, test } from 'vitest'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { checkClaimShapes } from '@countersign/protocol/receipt/call-claims'
import { observeBody } from '../../src/metering/observe-usage.ts'
import { fillRates } from '../../src/metering/price-sheet.ts'
import { chargeUsage, meterUsage } from '../../src/metering/settle-usage.ts'
import { toMeteringClaim, toUsageClaim } from '../../src/metering/usage-claims.ts'
import { events, observe } from './observe.ts'

const usage = {
  prompt_tokens: 9,
  completion_tokens: 5,
  prompt_tokens_details: { cached_tokens: 4 },
}
const counted = observeBody(
  'openai-chat',
  Buffer.from(JSON.stringify({ service_tier: 'default', usage })),
)
const uncounted = observeBody('openai-chat', Buffer.from('{}'))
const begun = observe(
  'anthropic',
  events({ type: 'message_start', message: { usage: { input_tokens: 3, output_tokens: 1 } } }),
)

test('states what the provider reported, in the shape that verifiers judge', () => {
  const claims = [counted, uncounted, begun].map((observation) =>
    decodeCbor(encodeCbor(toUsageClaim(observation)), 1000),
  )
  expect(claims).toEqual([
    new Map<string, unknown>([
      ['raw', JSON.stringify(usage)],
      ['input', 9],
      ['output', 5],
      ['source', 'provider'],
    ]),
    new Map<string, unknown>([
      ['raw', null],
      ['input', null],
      ['output', null],
      ['source', 'none'],
    ]),
    new Map<string, unknown>([
      ['raw', '{"input_tokens":3,"output_tokens":1}'],
      ['input', 3],
      ['output', null],
      ['source', 'provider'],
    ]),
  ])
  for (const claim of claims) {
    expect(() => {
      checkClaimShapes(new Map([['usage', claim]]))
    }).not.toThrow()
  }
})

test('states what is charged for, and how that was known', () => {
  const rates = fillRates({ input: 1_000_000n, 'cache-read': 1_000_000n, output: 1_000_000n })
  const authorisation = {
    sheet: { perCallAtomic: 0n, tiers: [{ aboveInput: 0, rates }] as const },
    limits: {
      contextTokens: 10,
      maxOutputTokens: 10,
      tokensPerAttachment: 10,
      maxServerToolCalls: 0,
      maxChargeAtomic: undefined,
      hidesReasoning: false,
      estimate: { percent: 100, tokensPerMessage: 4, tokensPerPrompt: 2 },
    },
    bound: {
      input: 10,
      output: 10n,
      inputKinds: ['input'] as const,
      toolCalls: 0,
      images: 1,
      audioSeconds: 0,
    },
    maximumAtomic: 13n,
  }
  const metered = meterUsage(authorisation, counted, undefined)
  const claim = toMeteringClaim(
    authorisation,
    counted,
    metered,
    chargeUsage(authorisation, metered),
  )
  expect(claim).toEqual(
    new Map<string, unknown>([
      ['tier', 'default'],
      ['notes', []],
      ['capped', true],
      [
        'counts',
        new Map([
          ['input', 5],
          ['cache-read', 4],
          ['output', 5],
        ]),
      ],
      ['source', 'provider'],
      ['authorised', Uint8Array.of(13)],
    ]),
  )
  const estimated = meterUsage(authorisation, uncounted, { input: 2, output: 3 })
  const other = toMeteringClaim(
    authorisation,
    uncounted,
    estimated,
    chargeUsage(authorisation, estimated),
  )
  expect(other).toEqual(
    new Map<string, unknown>([
      ['tier', null],
      ['notes', []],
      ['capped', false],
      [
        'counts',
        new Map([
          ['input', 2],
          ['output', 3],
        ]),
      ],
      ['source', 'estimated'],
      ['authorised', Uint8Array.of(13)],
    ]),
  )
  expect(encodeCbor(claim).length).toBeLessThan(200)
})
