/** Withholding some of the claims of a bundle. */
import { parseClaim, withholdClaims, type ClaimEntry } from '@countersign/protocol/receipt/claims'
import type { Forgery } from './forge.ts'

/** Withholds the claims of these names. */
export function withhold(...names: readonly string[]): Forgery {
  return withholdWhere((name) => names.includes(name))
}

/** Withholds all claims but those of these names. */
export function discloseOnly(...names: readonly string[]): Forgery {
  return withholdWhere((name) => !names.includes(name))
}

function withholdWhere(isWithheld: (name: string) => boolean): Forgery {
  const choose = (entry: ClaimEntry): readonly ClaimEntry[] =>
    entry.kind === 'claim' && isWithheld(parseClaim(entry.bytes).name)
      ? withholdClaims([entry])
      : [entry]
  return { bundle: ({ claims }) => ({ claims: claims.flatMap(choose) }) }
}
