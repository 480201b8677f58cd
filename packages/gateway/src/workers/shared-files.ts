/** Files that all workers write to. */
import type { Config } from '../config/schema.ts'
import { openUpstreamAnswers } from '../create-gateway.ts'
import { openOwnerStore } from '../references/owner-store.ts'

/** Makes those that this configuration needs, so that every worker finds them as they are. */
export function makeSharedFiles(config: Config): void {
  openOwnerStore(config.dataDir).close()
  openUpstreamAnswers(config)?.close()
}
