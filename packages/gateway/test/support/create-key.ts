/** An API key for tests, with what limits it. */
import { openApiKeyStore, type KeyLimitChanges } from '../../src/payment/api-key-store.ts'

/** The header that a caller with a new key sends. The database is the file of a gateway that runs, or will run. */
export function createKey(
  file: string,
  changes: KeyLimitChanges = {},
  name = 'test',
): Readonly<Record<string, string>> {
  const store = openApiKeyStore(file)
  const { secret, entry } = store.create(name, 1_000_000_000n, 1)
  store.limit(entry.id, changes)
  store.close()
  return { 'x-api-key': secret }
}
