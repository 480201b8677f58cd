/** What tests of `countersignFetch` share: a wallet, a request, and the code of a refusal. */
import { expect } from 'vitest'
import { privateKeyToAccount } from 'viem/accounts'
import { ClientError, type WalletOptions } from '@countersign/client'

// The second of anvil's published accounts: worth nothing anywhere.
/** Pays in tests. */
export const account = privateKeyToAccount(
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
)

/** Limits that the test server stays within. */
export const wallet: WalletOptions = { account, maxAmountAtomic: 20_000n, budgetAtomic: 1_000_000n }

/** A chat request without `stream`. */
export const chat = { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] } as const
/** The request, for `fetch`. */
export function post(stream: boolean): RequestInit {
  return { method: 'POST', body: JSON.stringify({ ...chat, stream }) }
}

/** The code of the ClientError that a promise rejects with. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(ClientError)
  return error instanceof ClientError ? error.code : ''
}
