/** Binding a payment to its request where the server advertises it (spec/payment.md PA6). */
import type { PaidRequest } from '../wire.ts'
import { createHash, randomBytes } from 'node:crypto'
import { keccak256 } from 'viem'
import type { Context, SignChanges } from '../attack.ts'

const extension = 'countersign-request'

/** What to sign so that the payment buys this request only; undefined where the server or the scheme has no such thing. */
export async function bindingOf(
  context: Context,
  request: PaidRequest,
): Promise<SignChanges | undefined> {
  const { extensions } = await context.quote(request)
  if (extensions?.[extension] === undefined || context.scheme === 'batch-settlement') {
    return undefined
  }
  const bodyHash = createHash('sha256').update(request.body).digest()
  const requestHash = createHash('sha256')
    .update(`countersign/request/v1\nPOST\n${request.path}\n`)
    .update(bodyHash)
    .digest()
  const salt = randomBytes(32)
  const info = { version: 1, requestHash: requestHash.toString('hex'), salt: salt.toString('hex') }
  return {
    nonce: keccak256(Buffer.concat([requestHash, salt])),
    extensions: { [extension]: { info } },
  }
}
