/** How a command judges who is paid: by terms in a file, by announced terms and a policy in a file, or not at all. */
import type { AttestKeyset } from '../attested/attest-keyset.ts'
import { createChainReader, type ChainReader } from '../chain/chain-reader.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import type { PayeeCheck } from '../pay/channel-book.ts'
import { createAnnouncedPayeeCheck } from '../payee/announced-payee-check.ts'
import { createPayeeCheck, type PayeeCheckOptions } from '../payee/payee-check.ts'
import { UsageError } from './command.ts'
import { readOperatorPolicy } from './read-operator-policy.ts'
import { readTrustedOperator } from './read-trusted-operator.ts'

/** The nodes of `--rpc`, each once; the first is the one that everything else is asked of. @throws UsageError */
export function readRpcUrls(rpc: readonly string[] | undefined): readonly [string, ...string[]] {
  const [first, ...others] = rpc ?? []
  if (first === undefined) throw new UsageError('--rpc takes a URL')
  const all = [first, ...others].map((url) => URL.parse(url)?.href)
  if (all.includes(undefined)) throw new UsageError('--rpc takes a URL')
  if (new Set(all).size < all.length) throw new UsageError('--rpc names a node twice')
  return [first, ...others]
}

/** A reader for each; all of them must find right who is paid. */
export function createPayeeReaders([first, ...others]: readonly [string, ...string[]]): {
  readonly reader: ChainReader
  readonly readers: readonly ChainReader[]
} {
  const reader = createChainReader(first)
  return { reader, readers: [reader, ...others.map((url) => createChainReader(url))] }
}

/** Reads the file that is named. @throws ClientError */
export async function readPayeeCheck(
  values: {
    readonly operator?: string | undefined
    readonly 'operator-policy'?: string | undefined
  },
  readers: PayeeCheckOptions['readers'],
  {
    attestKeyset,
    fetch,
  }: { readonly attestKeyset: AttestKeyset; readonly fetch?: UnderlyingFetch },
): Promise<PayeeCheck | 'unchecked'> {
  const { operator, 'operator-policy': policyFile } = values
  if (operator !== undefined) {
    return createPayeeCheck({ operators: [await readTrustedOperator(operator)], readers })
  }
  if (policyFile === undefined) return 'unchecked'
  const policy = await readOperatorPolicy(policyFile)
  const asked = fetch === undefined ? {} : { fetch }
  return createAnnouncedPayeeCheck({ policy, readers, attestKeyset, ...asked })
}
