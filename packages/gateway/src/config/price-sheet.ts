/** The price sheet: which model costs what. Its digest stands in every receipt. */
import { hash } from 'node:crypto'
import type { ListedModel } from '../upstream/upstreams.ts'

/** SHA-256 of the JSON array of [model, price in atomic units as text], in ascending order of the models. */
export function computePriceSheetDigest(models: readonly ListedModel[]): Uint8Array {
  const sheet = models
    .map(({ id, priceAtomic }) => [id, priceAtomic.toString()] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return hash('sha256', JSON.stringify(sheet), 'buffer')
}
