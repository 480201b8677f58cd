/** BU1: files that are no bundle. */
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { ErrorCode } from '@countersign/protocol/errors'
import { listRows, type CodeTable } from '../code-table.ts'
import { maxBundleBytes } from '@countersign/protocol/verify/bundle'
import type { BundleCase } from '../bundle-case.ts'
import { forgeBundle } from '../forge.ts'
import { smallCall, streamCall } from '../sample-call.ts'

type TextEdit = (text: string) => string
type Row = readonly [name: string, clause: string, edit: TextEdit]

const rows: CodeTable<Row> = {
  'bundle-not-json': [
    ['nothing', 'BU1.1', () => ''],
    ['an object that does not end', 'BU1.1', (text) => text.trimEnd().slice(0, -1)],
    ['a member twice', 'BU1.1', (text) => text.replace('{', '{"countersign":1,')],
    [
      'a member twice, once escaped',
      'BU1.1',
      (text) => text.replace('{', '{"\\u0063ountersign":1,'),
    ],
    ['a byte order mark', 'BU1.1', (text) => `\ufeff${text}`],
    ['a number with a fraction', 'BU1.1', (text) => text.replace(':1', ':1.0')],
    ['a number with an exponent', 'BU1.1', (text) => text.replace(':1', ':1e0')],
    ['a number with a leading zero', 'BU1.1', (text) => text.replace(':1', ':01')],
    ['a number of 2^53', 'BU1.1', (text) => text.replace(':1', ':9007199254740992')],
    ['a number with a plus sign', 'BU1.1', (text) => text.replace(':1', ':+1')],
    ['a lone surrogate', 'BU1.1', (text) => text.replace('"proofs"', '"\\ud800":1,"proofs"')],
    [
      'a low surrogate first',
      'BU1.1',
      (text) => text.replace('"proofs"', '"\\ude00\\ud83d":1,"proofs"'),
    ],
    [
      'a control character in a text',
      'BU1.1',
      (text) => text.replace('"proofs"', '"\u0001":1,"proofs"'),
    ],
    [
      'an escape that does not exist',
      'BU1.1',
      (text) => text.replace('"proofs"', '"\\x41":1,"proofs"'),
    ],
    ['nesting of nine', 'BU1.1', (text) => text.replace('"proofs":[]', `"proofs":${nested(8)}`)],
    ['a comma before the end', 'BU1.1', (text) => text.replace('"proofs":[]', '"proofs":[],')],
    ['a comment', 'BU1.1', (text) => `${text}// end`],
    ['a second value', 'BU1.1', (text) => `${text}{}`],
    ['single quotes', 'BU1.1', (text) => text.replace('"proofs"', "'proofs'")],
    ['a no-break space', 'BU1.1', (text) => text.replace('{', '{\u00a0')],
  ],
  'bundle-version-unsupported': [
    ['another version', 'BU1.2', (text) => text.replace(':1', ':2')],
    ['a version as text', 'BU1.2', (text) => text.replace(':1', ':"1"')],
    ['no version', 'BU1.2', (text) => text.replace('"countersign":1,', '')],
    ['another version, judged before the rest', 'BU1.2', () => '{"countersign":0}'],
  ],
  'bundle-malformed': [
    ['an array', 'BU1.2', () => '[]'],
    ['a text', 'BU1.2', () => '"countersign"'],
    ['an unknown member', 'BU1.2', (text) => text.replace('"proofs"', '"note":"","proofs"')],
    ['a member missing', 'BU1.2', (text) => text.replace(',"proofs":[]', '')],
    ['null for the events', 'BU1.2', (text) => text.replace('"proofs"', '"events":null,"proofs"')],
    ['nesting of eight where texts belong', 'BU1.2', (text) => text.replace('[]', nested(7))],
    [
      'a number for the statement',
      'BU1.2',
      (text) => text.replace(/"statement":"[^"]*"/, '"statement":1'),
    ],
    ['a claim that is a text', 'BU1.2', (text) => text.replace('"claims":[', '"claims":["",')],
    ['a claim with both forms', 'BU1.2', (text) => text.replace('{"leaf"', '{"claim":"","leaf"')],
    ['a claim with neither', 'BU1.2', (text) => text.replace('"claims":[', '"claims":[{},')],
    [
      '65 claims',
      'BU1.2',
      (text) => text.replace('"claims":[', `"claims":[${'{"claim":""},'.repeat(64)}`),
    ],
    [
      'two pieces of evidence',
      'BU1.2',
      (text) => text.replace('"evidence":[', `"evidence":[${evidence('a')},${evidence('b')}`),
    ],
    [
      'evidence of no kind',
      'BU1.2',
      (text) => text.replace('"evidence":[', `"evidence":[${evidence('')}`),
    ],
    [
      'evidence of a kind of 65 bytes',
      'BU1.2',
      (text) => text.replace('"evidence":[', `"evidence":[${evidence(`ü${'a'.repeat(63)}`)}`),
    ],
    [
      '17 proofs',
      'BU1.2',
      (text) =>
        text.replace(
          '"proofs":[',
          `"proofs":[${Array.from({ length: 17 }, () => '{"kind":"a","data":""}').join(',')}`,
        ),
    ],
    [
      'a proof without data',
      'BU1.2',
      (text) => text.replace('"proofs":[', '"proofs":[{"kind":"a"}'),
    ],
    [
      'a leaf of 31 bytes',
      'BU1.3',
      (text) => text.replace('"claims":[', `"claims":[{"leaf":"${'A'.repeat(42)}"},`),
    ],
    [
      'a nonce of 33 bytes',
      'BU1.3',
      (text) =>
        text.replace(
          '"evidence":[',
          `"evidence":[{"kind":"a","nonce":"${'A'.repeat(44)}","data":""}`,
        ),
    ],
    [
      'events of 33 bytes',
      'BU1.3',
      (text) => text.replace('"proofs"', `"events":"${'A'.repeat(44)}","proofs"`),
    ],
    [
      'an unknown member beside bad base64url, judged first',
      'BU1.3',
      (text) => text.replace('"statement":"', '"note":1,"statement":"='),
    ],
    [
      'a short leaf before bad base64url in the keyset',
      'BU1.3',
      (text) =>
        text.replace('"claims":[', '"claims":[{"leaf":""},').replace('"keyset":"', '"keyset":"='),
    ],
  ],
  'bundle-base64': [
    ['padding', 'BU1.3', (text) => text.replace('"statement":"', '"statement":"AA==')],
    ['the alphabet of base64', 'BU1.3', (text) => text.replace('"keyset":"', '"keyset":"+')],
    ['spare bits', 'BU1.3', (text) => text.replace(/"statement":"[^"]*"/, '"statement":"AB"')],
    [
      'spare bits of three characters',
      'BU1.3',
      (text) => text.replace(/"statement":"[^"]*"/, '"statement":"AAB"'),
    ],
    [
      'one character too many',
      'BU1.3',
      (text) => text.replace(/"statement":"[^"]*"/, '"statement":"AAAAA"'),
    ],
    ['a line end', 'BU1.3', (text) => text.replace('"keyset":"', '"keyset":"\\n')],
    ['letters of another script', 'BU1.3', (text) => text.replace('"keyset":"', '"keyset":"АААА')],
    [
      'a claim that is not base64url',
      'BU1.3',
      (text) => text.replace('"claims":[', '"claims":[{"claim":"."},'),
    ],
    [
      'a proof that is not base64url',
      'BU1.3',
      (text) => text.replace('"proofs":[', '"proofs":[{"kind":"a","data":"."}'),
    ],
    [
      'bad base64url before a nonce of another length',
      'BU1.3',
      (text) =>
        text
          .replace('"keyset":"', '"keyset":"=')
          .replace('"evidence":[', `"evidence":[${evidence('a', '')}`),
    ],
  ],
}

/** All cases. */
export function bundleFormCases(): readonly BundleCase[] {
  const listed = listRows(rows).map(([code, [name, clause, edit]]) =>
    refused(name, clause, forge(edit), code),
  )
  const bundle = forgeBundle(smallCall, { evidence: 'none' })
  const full = maxBundleBytes - bundle.length
  return [
    ...listed,
    refused(
      'a byte that is not UTF-8',
      'BU1.1',
      concatBytes(bundle, Uint8Array.of(0xff)),
      'bundle-not-json',
    ),
    {
      ...refused('one byte too many', 'BU1.1', bundle, 'bundle-too-large'),
      trailingSpaces: full + 1,
    },
    {
      name: 'as many bytes as allowed',
      clause: 'BU1.1',
      bundle,
      trailingSpaces: full,
      verdict: 'incomplete',
      level: 'L0',
    },
    ...respelled(),
  ]
}

/** The same bundle in other JSON: spaces, escapes and another order change nothing. */
function respelled(): readonly BundleCase[] {
  const edits: readonly (readonly [string, TextEdit])[] = [
    ['spaces of every kind', (text) => text.replaceAll(',"', '\t,\r\n "')],
    ['an escaped member name', (text) => text.replace('"keyset"', '"\\u006beyset"')],
    ['an escaped value', (text) => text.replace('"simulated"', '"\\u0073imulated"')],
    [
      'another order of members',
      (text) =>
        text.replace('"countersign":1,', '').replace('"proofs"', '"countersign":1,"proofs"'),
    ],
  ]
  return edits.map(([name, json]) => ({
    name: `a bundle with ${name}`,
    clause: 'BU1.1',
    bundle: forgeBundle(streamCall, { json }),
    verdict: 'valid',
  }))
}

function refused(name: string, clause: string, bundle: Uint8Array, code: ErrorCode): BundleCase {
  return {
    name: `not a bundle: ${name}`,
    clause,
    bundle,
    verdict: 'invalid',
    level: 'none',
    failed: { bundle: code },
    open: {
      statement: 'blocked',
      claims: 'blocked',
      'evidence-chain': 'blocked',
      proofs: 'blocked',
    },
  }
}

/** The members of a bundle with nothing in them: its form is judged before its content. */
function forge(json: TextEdit): Uint8Array {
  const leaf = 'A'.repeat(43)
  const members = { statement: '', claims: [{ leaf }], keyset: '', evidence: [], proofs: [] }
  return encodeUtf8(json(JSON.stringify({ countersign: 1, ...members })))
}

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth)
}

function evidence(kind: string, nonce: string = 'A'.repeat(43)): string {
  return JSON.stringify({ kind, nonce, data: '' })
}
