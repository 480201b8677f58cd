/**
 * Counts tokens by the vocabulary o200k_base of OpenAI (docs/decisions/2026-11-21-tokenizer.md). For a worker: the
 * vocabulary takes a fifth of a second to load, and long texts take seconds.
 */
import bytePairRanks from 'gpt-tokenizer/bpeRanks/o200k_base'
import { BytePairEncodingCore } from 'gpt-tokenizer/BytePairEncodingCore'
import { O200KBase } from 'gpt-tokenizer/encodingParams/o200k_base'

/** Counts one text after the other, and no more of them than a million characters. */
export type TokenCounter = {
  /** Tokens of these texts. What is beyond the limit counts in the proportion of what was read. */
  count(texts: readonly string[]): number
}

// Merging takes time by the square of the longest word: texts made for that are cut into pieces that it can bear.
const maxPieceLength = 1024
const maxCountedLength = 1_048_576
// Words that were met before; each is at most a piece long.
const maxKnownWords = 4096

/** A counter. */
export function createTokenCounter(): TokenCounter {
  const core = new BytePairEncodingCore({
    ...O200KBase(bytePairRanks),
    mergeCacheSize: maxKnownWords,
  })
  return {
    count(texts) {
      let tokens = 0
      let counted = 0
      let length = 0
      for (const text of texts) {
        length += text.length
        for (const piece of piecesOf(text)) {
          if (counted >= maxCountedLength) break
          tokens += core.countNative(piece)
          counted += piece.length
        }
      }
      return counted < length ? Math.floor((tokens * length) / counted) : tokens
    },
  }
}

/** Cuts before a single space where there is one: there the tokens of the pieces are those of the whole. */
function* piecesOf(text: string): Generator<string> {
  let start = 0
  while (text.length - start > maxPieceLength) {
    const end = endOfPiece(text, start)
    yield text.slice(start, end)
    start = end
  }
  if (start < text.length) yield text.slice(start)
}

function endOfPiece(text: string, start: number): number {
  const last = start + maxPieceLength
  for (let end = last; end > start + maxPieceLength / 2; end--) {
    const isBetweenWords =
      text[end] === ' ' &&
      isVisible(text.charCodeAt(end - 1)) &&
      isVisible(text.charCodeAt(end + 1))
    if (isBetweenWords) return end
  }
  const isInsideCharacter = (text.charCodeAt(last) & 0xfc00) === 0xdc00
  return isInsideCharacter ? last - 1 : last
}

/** Of ASCII. */
function isVisible(code: number): boolean {
  return code > 0x20 && code < 0x7f
}
