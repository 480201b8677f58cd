/** How a command judges who is paid: by terms in a file, by announced terms and a policy in a file, or not at all. */
import type { AttestKeyset } from '../attested/attest-keyset.ts'
import type { ChainReader } from '../chain/chain-reader.ts'
import type { UnderlyingFetch } from '../fetch-options.ts'
import type { PayeeCheck } from '../pay/channel-book.ts'
import { createAnnouncedPayeeCheck } from '../payee/announced-payee-check.ts'
import { createPayeeCheck } from '../payee/payee-check.ts'
import { readOperatorPolicy } from './read-operator-policy.ts'
import { readTrustedOperator } from './read-trusted-operator.ts'

/** Reads the file that is named. @throws ClientError */
export async function readPayeeCheck(
  values: {
    readonly operator?: string | undefined
    readonly 'operator-policy'?: string | undefined
  },
  readers: Readonly<Record<string, ChainReader>>,
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
