/** Turns one byte of a bundle inside a field that was signed. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeBundle, parseBundle } from '@countersign/protocol/verify/bundle'
import { parseStatement } from '@countersign/protocol/receipt/statement'

/** A changed bundle, and where it was changed. */
export type TamperedBundle = { readonly bundle: Uint8Array; readonly what: string }

/** The same bundle with one bit of the claims root, and so of the signed payload, turned. */
export function turnOneByte(bytes: Uint8Array): TamperedBundle {
  const bundle = parseBundle(bytes)
  const { payload } = parseStatement(bundle.statement)
  if (payload.type === 'keyset') throw new Error('a bundle holds a statement about a call')
  const at = indexOf(bundle.statement, payload.claimsRoot)
  const statement = concatBytes(
    bundle.statement.subarray(0, at),
    Uint8Array.of((bundle.statement[at] ?? 0) ^ 1),
    bundle.statement.subarray(at + 1),
  )
  return {
    bundle: encodeBundle({ ...bundle, statement }),
    what: 'one bit of the signed claims root',
  }
}

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  const at = Buffer.from(bytes).indexOf(part)
  if (at < 0) throw new Error('the claims root stands in the statement')
  return at
}
