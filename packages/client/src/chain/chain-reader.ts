/** What a payer reads of a chain before it signs. A reader believes one node; the URL is the payer's own choice, never a gateway's. */
import { decodeJson, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { isJsonArray, isJsonMap } from '../pay/base64-json.ts'
import { readBounded } from '../read-bounded.ts'
import { readLogRanges, type AskLogs } from './read-log-ranges.ts'

/** Reads of the latest block. A seam: another node library fits as well. */
export type ChainReader = {
  chainId(): Promise<bigint>
  /** The answer of a contract; rejects when it reverts. */
  call(to: Hex, data: Hex): Promise<Hex>
  /** `0x` where there is none. */
  getCode(address: Hex): Promise<Hex>
  /** All events of a contract with this first topic, from a block on. */
  getLogs(address: Hex, topic: Hex, fromBlock: bigint): Promise<readonly ChainLog[]>
}

/** One event. Lower-case hex. */
export type ChainLog = { readonly topics: readonly Hex[]; readonly data: Hex }

const maxAnswerBytes = 1_048_576
const timeoutMs = 10_000
const dataForm = /^0x(?:[0-9a-f]{2})*$/
const quantityForm = /^0x(?:0|[1-9a-f][0-9a-f]{0,15})$/

/** Reads over JSON-RPC. All its errors are ClientErrors `chain-unreachable`. */
export function createChainReader(
  rpcUrl: string,
  fetch: (url: string, init: RequestInit) => Promise<Response> = (url, init) =>
    globalThis.fetch(url, init),
): ChainReader {
  /** `undefined`: it answered, and not with a result that can be read. */
  async function tryAny(
    method: string,
    params: readonly unknown[],
  ): Promise<JsonValue | undefined> {
    let bytes: Uint8Array | undefined
    try {
      const response = await fetch(rpcUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: encodeUtf8(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })).slice(),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      })
      bytes = await readBounded(response, maxAnswerBytes)
    } catch (cause) {
      throw new ClientError('chain-unreachable', { detail: method, cause })
    }
    const json = bytes === undefined ? undefined : decodeJson(bytes)
    return isJsonMap(json) ? json.get('result') : undefined
  }

  async function askAny(method: string, params: readonly unknown[]): Promise<JsonValue> {
    const result = await tryAny(method, params)
    if (result === undefined) throw unreadable(`${method}: no result`)
    return result
  }

  async function ask(method: string, params: readonly unknown[]): Promise<string> {
    const result = await askAny(method, params)
    if (typeof result !== 'string') throw unreadable(`${method}: no text`)
    return result.toLowerCase()
  }

  async function askData(method: string, params: readonly unknown[]): Promise<Hex> {
    const result = await ask(method, params)
    if (!dataForm.test(result)) throw unreadable(`${method}: no bytes`)
    return `0x${result.slice(2)}`
  }

  async function askNumber(method: string): Promise<bigint> {
    const result = await ask(method, [])
    if (!quantityForm.test(result)) throw unreadable(`${method}: no number`)
    return BigInt(result)
  }

  return {
    chainId: () => askNumber('eth_chainId'),
    call: (to, data) => askData('eth_call', [{ to, data }, 'latest']),
    getCode: (address) => askData('eth_getCode', [address, 'latest']),
    getLogs: async (address, topic, fromBlock) => {
      const askRange: AskLogs<ChainLog> = async (from, to) => {
        const end = to === undefined ? {} : { toBlock: toQuantity(to) }
        const filter = { address, topics: [topic], fromBlock: toQuantity(from), ...end }
        const result = await tryAny('eth_getLogs', [filter])
        if (result === undefined || result === null) return undefined
        if (!isJsonArray(result)) throw unreadable('eth_getLogs: no list')
        return result.map(readLog)
      }
      return readLogRanges(askRange, fromBlock, await askNumber('eth_blockNumber'))
    },
  }
}

function toQuantity(number: bigint): string {
  return `0x${number.toString(16)}`
}

function readLog(value: JsonValue): ChainLog {
  const topics = isJsonMap(value) ? value.get('topics') : undefined
  const data = isJsonMap(value) ? readData(value.get('data')) : undefined
  const words = isJsonArray(topics) ? topics.map(readData) : [undefined]
  if (data === undefined || !words.every((word) => word !== undefined)) {
    throw unreadable('eth_getLogs: another form')
  }
  return { topics: words, data }
}

function readData(value: JsonValue | undefined): Hex | undefined {
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  return dataForm.test(text) ? `0x${text.slice(2)}` : undefined
}

/** A reader that has shown to be of this chain. @throws ClientError `chain-mismatch`, `chain-unreachable`. */
export async function checkChain(reader: ChainReader, chainId: bigint): Promise<void> {
  const actual = await reader.chainId()
  if (actual !== chainId) {
    throw new ClientError('chain-mismatch', { detail: `${actual}, not ${chainId}` })
  }
}

function unreadable(detail: string): ClientError {
  return new ClientError('chain-unreachable', { detail })
}
