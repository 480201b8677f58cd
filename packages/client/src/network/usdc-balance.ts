/** Reads a balance of test USDC from a loopback chain. */
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { ClientError } from '../errors.ts'
import { baseSepoliaUsdc } from '../pay/spending-limits.ts'
import { isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'

const balanceOfSelector = '0x70a08231'
const maxAnswerBytes = 65_536
const timeoutMs = 10_000
const wordForm = /^0x[0-9a-fA-F]{64}$/

/**
 * The balance in atomic units.
 *
 * @throws ClientError `program-failed` when the chain answers something else than a balance.
 */
export async function readUsdcBalance(rpcUrl: string, address: string): Promise<bigint> {
  const data = `${balanceOfSelector}${address.slice(2).toLowerCase().padStart(64, '0')}`
  const response = await fetch(rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'eth_call',
      params: [{ to: baseSepoliaUsdc.address, data }, 'latest'],
    }),
    signal: AbortSignal.timeout(timeoutMs),
  })
  const bytes = await readBounded(response, maxAnswerBytes)
  const json = bytes === undefined ? undefined : decodeJson(bytes)
  const result = isJsonMap(json) ? json.get('result') : undefined
  if (typeof result !== 'string' || !wordForm.test(result)) {
    throw new ClientError('program-failed', { detail: 'the chain gave no balance' })
  }
  return BigInt(result)
}
