/**
 * Vectors differ from one another in a few bytes: a byte string that an earlier case has almost is stored as
 * [number of that case, from, to, text], what stands there between `from` and `to` replaced by the text.
 */
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import type { StoredEvidenceCase } from './evidence-case.ts'

/** A byte string, whole or by its difference to the one of the same name in an earlier case. */
export type CompactBytes = string | readonly [at: number, from: number, to: number, put: string]

/** A case as the file has it. */
export type CompactCase = Omit<StoredEvidenceCase, 'raw' | 'collateral'> & {
  readonly raw: CompactBytes
  readonly collateral: Readonly<Record<string, CompactBytes>>
}

/** What a case stores whole, that later ones can point to. */
type Whole = { readonly at: number; readonly bytes: Uint8Array }

/** The cases in the same order. */
export function compactCases(cases: readonly StoredEvidenceCase[]): readonly CompactCase[] {
  const wholes = new Map<string, Whole[]>()
  const compact = (name: string, text: string, at: number): CompactBytes => {
    const bytes = decode(text)
    const known = wholes.get(name) ?? []
    let best: CompactBytes = text
    for (const whole of known) {
      const difference = compare(whole, bytes)
      if (JSON.stringify(difference).length < JSON.stringify(best).length) best = difference
    }
    if (best === text) wholes.set(name, [...known, { at, bytes }])
    return best
  }
  return cases.map(({ raw, collateral, ...rest }, at) => ({
    ...rest,
    raw: compact('raw', raw, at),
    collateral: Object.fromEntries(
      Object.entries(collateral).map(([name, text]) => [name, compact(`/${name}`, text, at)]),
    ),
  }))
}

/** Byte strings of one name, each a case's, in their order. */
export function compactTexts(texts: readonly string[]): readonly CompactBytes[] {
  const wholes: Whole[] = []
  return texts.map((text, at) => {
    const bytes = decode(text)
    let best: CompactBytes = text
    for (const whole of wholes) {
      const difference = compare(whole, bytes)
      if (JSON.stringify(difference).length < JSON.stringify(best).length) best = difference
    }
    if (best === text) wholes.push({ at, bytes })
    return best
  })
}

/** Those as they were. */
export function expandTexts(stored: readonly CompactBytes[]): readonly string[] {
  const texts: string[] = []
  for (const bytes of stored) texts.push(expand(bytes, (at) => texts[at]))
  return texts
}

/** The cases as they were. */
export function expandCases(cases: readonly CompactCase[]): readonly StoredEvidenceCase[] {
  const expanded: StoredEvidenceCase[] = []
  for (const { raw, collateral, ...rest } of cases) {
    const parts = Object.entries(collateral).map(
      ([name, bytes]) => [name, expand(bytes, (at) => expanded[at]?.collateral[name])] as const,
    )
    expanded.push({
      ...rest,
      raw: expand(raw, (at) => expanded[at]?.raw),
      collateral: Object.fromEntries(parts),
    })
  }
  return expanded
}

function compare({ at, bytes: known }: Whole, bytes: Uint8Array): CompactBytes {
  const most = Math.min(known.length, bytes.length)
  let from = 0
  while (from < most && known[from] === bytes[from]) from++
  let same = 0
  while (same < most - from && known.at(-1 - same) === bytes.at(-1 - same)) same++
  return [at, from, known.length - same, toBase64url(bytes.subarray(from, bytes.length - same))]
}

function expand(bytes: CompactBytes, find: (at: number) => string | undefined): string {
  if (typeof bytes === 'string') return bytes
  const [at, from, to, put] = bytes
  const known = decode(find(at) ?? '')
  return toBase64url(
    Uint8Array.from([...known.subarray(0, from), ...decode(put), ...known.subarray(to)]),
  )
}

function decode(text: string): Uint8Array {
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new Error('a vector is not base64url')
  return bytes
}
