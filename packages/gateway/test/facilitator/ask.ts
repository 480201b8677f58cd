/** What servers send to a facilitator, by hand. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import type { PaymentRequirements } from '@x402/core/types'
import type { Hex } from 'viem'
import { privateKeyToAddress, type PrivateKeyAccount } from 'viem/accounts'
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'
import { lower } from '../payment/channel-payer.ts'
import { signAuthorization } from '../payment/payer.ts'

/** A body of /verify and /settle. */
export type AskBody = {
  readonly x402Version: number
  readonly paymentPayload: {
    readonly x402Version: number
    readonly accepted: PaymentRequirements
    readonly payload: Record<string, unknown>
  } & Record<string, unknown>
  readonly paymentRequirements: PaymentRequirements
}

/** An answer, whatever its form. */
export type Answered = {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

const curve = await loadEvmCurve()
const permit2Domain = createPermit2Domain(84_532n, lower(baseSepoliaX402.permit2))
let permitNonces = 0n

/** Who is paid. */
export const shopAddress = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

/** Terms of a shop. */
export function requirementsOf(
  scheme: string,
  amount: string,
  changes: Partial<PaymentRequirements> = {},
): PaymentRequirements {
  return {
    scheme,
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    amount,
    payTo: shopAddress,
    maxTimeoutSeconds: 120,
    extra: { name: 'USDC', version: '2' },
    ...changes,
  }
}

/** A good payment by `exact`. */
export async function askExact(
  account: PrivateKeyAccount,
  amount = '1000',
  changes: Parameters<typeof signAuthorization>[2] = {},
): Promise<AskBody> {
  const accepted = requirementsOf('exact', amount)
  const payload = { ...(await signAuthorization(account, accepted, changes)) }
  return {
    x402Version: 2,
    paymentPayload: { x402Version: 2, accepted, payload },
    paymentRequirements: accepted,
  }
}

/** A good payment by `upto`. */
export function askUpto(key: Hex, facilitator: string, amount = '1000', charged = amount): AskBody {
  const accepted = requirementsOf('upto', amount)
  const permit = {
    token: lower(accepted.asset),
    amountAtomic: BigInt(amount),
    spender: lower(baseSepoliaX402.uptoPermit2Proxy),
    nonce: permitNonces++,
    deadlineSeconds: BigInt(Math.floor(Date.now() / 1000) + 120),
  }
  const witness = { to: lower(shopAddress), facilitator: lower(facilitator), validAfterSeconds: 0n }
  const signature = curve.sign(
    permit2Domain.hashUpto(permit, witness),
    Buffer.from(key.slice(2), 'hex'),
  )
  const permit2Authorization = {
    from: privateKeyToAddress(key),
    permitted: { token: permit.token, amount },
    spender: permit.spender,
    nonce: `${permit.nonce}`,
    deadline: `${permit.deadlineSeconds}`,
    witness: { to: witness.to, facilitator: witness.facilitator, validAfter: '0' },
  }
  const payload = { signature: encodeEvmSignature(signature), permit2Authorization }
  return {
    x402Version: 2,
    paymentPayload: { x402Version: 2, accepted, payload },
    paymentRequirements: { ...accepted, amount: charged },
  }
}

/** Sends a body, or any text. */
export async function ask(
  url: string,
  operation: 'verify' | 'settle',
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const response = await fetch(`${url}/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const answer: unknown = await response.json()
  return { status: response.status, headers: response.headers, body: Object(answer) }
}

/** The reason of a refusal, or `good`. */
export function reasonOf({ body }: Answered): string {
  const reason = body['invalidReason'] ?? body['errorReason']
  return typeof reason === 'string' ? reason : 'good'
}

/** The account that settles `upto`. */
export async function readSender(url: string): Promise<string> {
  const supported: unknown = await (await fetch(`${url}/supported`)).json()
  return String(Object(supported).signers['eip155:84532'][0])
}
