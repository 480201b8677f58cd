/** Policy files of the vectors. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { defaultPolicy } from '@countersign/protocol/verify/policy'

/** The default policy with some members replaced, added, or, when `undefined`, left out. */
export function policyFile(members: Readonly<Record<string, unknown>>): Uint8Array {
  const policy: unknown = JSON.parse(new TextDecoder().decode(defaultPolicy))
  if (typeof policy !== 'object') throw new Error('the default policy is no object')
  return encodeUtf8(JSON.stringify({ ...policy, name: 'vector', ...members }))
}
