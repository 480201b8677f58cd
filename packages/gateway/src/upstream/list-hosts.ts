/** Where calls can be forwarded to, as the keyset says it (spec/statement.md ST4.1). */
import { compareTexts } from '@countersign/protocol/bytes/byte-string'
import { maxUpstreams } from '@countersign/protocol/receipt/keyset'
import type { Config } from '../config/schema.ts'
import { ConfigError } from '../config/load-config.ts'

// A keyset document holds payees and keys too.
const maxHostBytes = 1536

/**
 * All hosts of the configuration, each once, in ascending order.
 *
 * @throws ConfigError when they are more than a keyset can list.
 */
export function listHosts({ upstreams }: Pick<Config, 'upstreams'>): readonly string[] {
  const hosts = new Set(upstreams.map(({ baseUrl }) => new URL(baseUrl).host))
  const sorted = Array.from(hosts).toSorted(compareTexts)
  if (hosts.size > maxUpstreams || Buffer.byteLength(sorted.join('')) > maxHostBytes) {
    throw new ConfigError(
      `upstreams have more than ${maxUpstreams} hosts, or names of more than ${maxHostBytes} bytes: a keyset lists them all`,
    )
  }
  return sorted
}
