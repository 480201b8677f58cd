/** CO7.1: terms of an operator that are taken, and those that are not. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { toBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import type { ErrorCode } from '@countersign/protocol/errors'

/** A case as it stands in `vectors/operator-terms.json`. */
export type OperatorTermsCase = {
  readonly name: string
  readonly clause: 'CO7.1'
  /** base64url. */
  readonly terms: string
  readonly expect: { readonly digest: string } | { readonly code: ErrorCode }
}

const address = (digit: string): string => `0x${digit.repeat(40)}`
const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `0x${`${index + 1}`.padStart(40, '0')}`)
const sound = {
  version: 1,
  network: 'eip155:84532',
  gatewayId: `0x${'a1'.repeat(32)}`,
  payeeOwner: address('1'),
  registry: address('2'),
  guardian: address('3'),
  proposers: [address('5'), address('4')],
  minDelaySeconds: 172_800,
  fromBlock: 12_345_678,
}
const { version: _, ...unversioned } = sound
const text = JSON.stringify(sound)
const written = (members: object): string => JSON.stringify({ ...sound, ...members })

const good: readonly (readonly [name: string, terms: string])[] = [
  ['terms', text],
  ['no delay', written({ minDelaySeconds: 0, fromBlock: 0 })],
  ['the longest delay', written({ minDelaySeconds: 1_000_000_000 })],
  ['the highest block', written({ fromBlock: Number.MAX_SAFE_INTEGER })],
  ['one proposer', written({ proposers: [address('4')] })],
  ['32 proposers', written({ proposers: numbered(32) })],
  ['a chain id of 15 digits', written({ network: 'eip155:999999999999999' })],
]

const refused: readonly (readonly [name: string, terms: string])[] = [
  ['nothing', ''],
  ['an array', '[]'],
  ['white space after it', `${text} `],
  ['white space inside', text.replace(',', ', ')],
  ['more than 4,096 bytes', `${text}${' '.repeat(4097 - text.length)}`],
  ['a member more', written({ more: 1 })],
  ['a member twice', text.replace('{', '{"version":1,')],
  ['members in another order', JSON.stringify({ ...unversioned, version: 1 })],
  ['version 2', written({ version: 2 })],
  ['an escaped letter', text.replace('eip155', '\\u0065ip155')],
  ['another namespace', written({ network: 'solana:1' })],
  ['a chain id with a leading zero', written({ network: 'eip155:01' })],
  ['a chain id of 16 digits', written({ network: 'eip155:1000000000000000' })],
  ['a network that is a number', written({ network: 1 })],
  ['a gateway id of 31 bytes', written({ gatewayId: `0x${'a1'.repeat(31)}` })],
  ['a gateway id of zeros', written({ gatewayId: `0x${'0'.repeat(64)}` })],
  ['an address in upper case', written({ registry: address('A') })],
  ['an address of 19 bytes', written({ payeeOwner: `0x${'1'.repeat(38)}` })],
  ['a guardian that is null', written({ guardian: null })],
  ['no proposers', written({ proposers: [] })],
  ['33 proposers', written({ proposers: numbered(33) })],
  ['a proposer twice', written({ proposers: [address('4'), address('4')] })],
  ['a proposer that is no address', written({ proposers: [address('4'), '0x'] })],
  ['proposers that are no array', written({ proposers: address('4') })],
  ['a delay below zero', written({ minDelaySeconds: -1 })],
  ['a delay that is too long', written({ minDelaySeconds: 1_000_000_001 })],
  ['a delay that is a text', written({ minDelaySeconds: '900' })],
  ['a block of 2^53', text.replace('12345678', '9007199254740992')],
  ['a block with an exponent', text.replace('12345678', '1e6')],
  ...Object.keys(sound).map((name) => [`no ${name}`, written({ [name]: undefined })] as const),
]

/** All cases. */
export function operatorTermsCases(): readonly OperatorTermsCase[] {
  return [
    ...good.map(([name, terms]) => {
      return toCase(name, terms, { digest: toHex(sha256(encodeUtf8(terms))) })
    }),
    ...refused.map(([name, terms]) => toCase(name, terms, { code: 'terms-malformed' })),
  ]
}

function toCase(
  name: string,
  terms: string,
  expect: OperatorTermsCase['expect'],
): OperatorTermsCase {
  return { name, clause: 'CO7.1', terms: toBase64url(encodeUtf8(terms)), expect }
}
