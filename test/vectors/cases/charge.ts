/** RC2: charges that are none, and charges that break a promise. */
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { BundleCase } from '../bundle-case.ts'
import { set, within, zeros } from '../edits.ts'
import { forgeBundle, type Edit } from '../forge.ts'
import { exactCharge, jsonCall, refusedCall, smallCall, withMembers } from '../sample-call.ts'

type Row = readonly [name: string, clause: string, charge: CborValue]

const none = [
  [1, 'none'],
  [2, zeros(0)],
] as const
const apiKey = [
  [1, 'api-key'],
  [2, Uint8Array.of(1)],
  [4, 'USD'],
  [5, zeros(16)],
] as const
const exact = [
  [1, 'exact'],
  [2, Uint8Array.of(1)],
  [3, 'eip155:1'],
  [4, 'USDC'],
  [5, zeros(32)],
] as const
const upto = [...exact, [1, 'upto']] as const
const channel = [...exact, [1, 'batch-settlement'], [7, Uint8Array.of(1)]] as const

const malformed: readonly Row[] = [
  ['no map', 'RC2.1', 0],
  ['another scheme', 'RC2.2', map(none, [1, 'prepaid'])],
  ['none with an amount', 'RC2.2', map(none, [2, Uint8Array.of(1)])],
  ['an amount as number', 'RC2.1', map(none, [2, 0])],
  ['an amount with a leading zero byte', 'RC2.1', map(apiKey, [2, Uint8Array.of(0, 1)])],
  ['an amount of one zero byte', 'RC2.1', map(none, [2, Uint8Array.of(0)])],
  ['an amount of 33 bytes', 'RC2.1', map(apiKey, [2, zeros(33).fill(1)])],
  ['an API key with a network', 'RC2.2', map(apiKey, [3, 'eip155:1'])],
  ['an API key with a settlement', 'RC2.2', map(apiKey, [6, zeros(32)])],
  ['an API key without an asset', 'RC2.2', map(apiKey.slice(0, 2), [5, zeros(16)])],
  ['an empty payment id', 'RC2.1', map(apiKey, [5, zeros(0)])],
  ['a payment id of 65 bytes', 'RC2.1', map(apiKey, [5, zeros(65)])],
  ['an empty asset', 'RC2.1', map(apiKey, [4, ''])],
  ['an asset of 129 bytes', 'RC2.1', map(apiKey, [4, 'a'.repeat(129)])],
  ['exact without a network', 'RC2.2', map(apiKey, [1, 'exact'], [5, zeros(32)])],
  ['exact with a payment id of 31 bytes', 'RC2.3', map(exact, [5, zeros(31)])],
  ['exact with a payment id of 33 bytes', 'RC2.3', map(exact, [5, zeros(33)])],
  ['exact with a transaction of 31 bytes', 'RC2.1', map(exact, [6, zeros(31)])],
  ['exact with null for the transaction', 'RC2.2', map(exact, [6, null])],
  ['exact with a cumulative amount', 'RC2.2', map(exact, [7, Uint8Array.of(1)])],
  ['upto with a transaction', 'RC2.2', map(upto, [6, zeros(32)])],
  ['upto with a cumulative amount', 'RC2.2', map(upto, [7, Uint8Array.of(1)])],
  ['upto with a payment id of 31 bytes', 'RC2.3', map(upto, [5, zeros(31)])],
  ['upto without a network', 'RC2.2', map(apiKey, [1, 'upto'], [5, zeros(32)])],
  ['a channel with a transaction', 'RC2.2', map(channel, [6, zeros(32)])],
  ['a channel without its cumulative amount', 'RC2.2', map(exact, [1, 'batch-settlement'])],
  ['a channel id of 33 bytes', 'RC2.3', map(channel, [5, zeros(33)])],
  ['a cumulative amount below the amount', 'RC2.7', map(channel, [2, Uint8Array.of(2)])],
  ['a cumulative amount with a zero byte', 'RC2.1', map(channel, [7, Uint8Array.of(0, 1)])],
]

/** All cases. */
export function chargeCases(): readonly BundleCase[] {
  return [
    ...malformed.map(([name, clause, charge]) => ({
      name: `a charge: ${name}`,
      clause,
      bundle: forgeBundle(smallCall, {
        statement: { payload: set(9, charge) },
        evidence: 'none',
      }),
      verdict: 'invalid' as const,
      level: 'none' as const,
      failed: { statement: 'payload-malformed' } as const,
    })),
    {
      name: 'a refusal that charges',
      clause: 'RC2.5',
      bundle: forgeBundle({ ...refusedCall, charge: exactCharge(1n) }, { evidence: 'none' }),
      verdict: 'invalid',
      level: 'L0',
      failed: { charge: 'refusal-charged' },
    },
    {
      name: 'a refusal that gives credit',
      clause: 'RC2.4',
      bundle: forgeBundle({ ...refusedCall, charge: exactCharge(0n) }),
      verdict: 'valid',
    },
    {
      name: 'one unit more than the price',
      clause: 'RC2.6',
      bundle: forgeBundle({ ...jsonCall, charge: exactCharge(2001n) }, { evidence: 'none' }),
      verdict: 'invalid',
      level: 'L0',
      failed: { charge: 'charge-exceeds-price' },
    },
    {
      name: 'an amount that needs all 32 bytes',
      clause: 'RC2.6',
      bundle: forgeBundle(
        {
          ...withMembers(jsonCall, 'price', { amount: zeros(32).fill(255) }),
          charge: exactCharge(1n),
        },
        { statement: { payload: amount(zeros(32).fill(255)) } },
      ),
      verdict: 'valid',
    },
    {
      name: 'a longer amount is larger, whatever its first byte',
      clause: 'RC2.6',
      bundle: forgeBundle(withMembers(jsonCall, 'price', { amount: Uint8Array.of(255) }), {
        statement: { payload: amount(Uint8Array.of(1, 0)) },
        evidence: 'none',
      }),
      verdict: 'invalid',
      failed: { charge: 'charge-exceeds-price' },
    },
  ]
}

function map(
  entries: readonly (readonly [number, CborValue])[],
  ...changed: readonly (readonly [number, CborValue])[]
): CborValue {
  return new Map([...entries, ...changed])
}

function amount(bytes: Uint8Array): Edit {
  return within(9, set(2, bytes))
}
