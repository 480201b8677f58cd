/** By what two answers are the same: by the members that decide, not by those in which honest nodes differ. */
import { rpcErrorOf, type Said } from './chain-node.ts'

/** Equal for equal answers; `undefined` for silence, and for what nobody can compare. */
export function comparedText(method: string, said: Said): string | undefined {
  if (said.kind === 'silent') return undefined
  try {
    if (said.kind === 'refused') {
      return `refused ${JSON.stringify(rpcErrorOf(said.error)?.data ?? null)}`
    }
    return JSON.stringify(pick(method, said.value)).toLowerCase()
  } catch {
    // Deeper than any answer is: it can be read, and not written.
    return undefined
  }
}

/** A member of an object from outside. */
export function readMember(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}

const members: ReadonlyMap<string, readonly string[]> = new Map([
  ['eth_getBlockByHash', ['number', 'hash', 'parentHash', 'timestamp']],
  ['eth_getBlockByNumber', ['number', 'hash', 'parentHash', 'timestamp']],
  ['eth_getTransactionReceipt', ['transactionHash', 'blockHash', 'blockNumber', 'status', 'logs']],
  ['eth_getTransactionByHash', ['hash', 'blockHash', 'from', 'nonce', 'to', 'input', 'value']],
])
const ofLog = ['address', 'topics', 'data', 'logIndex', 'transactionHash', 'blockHash']

function pick(method: string, value: unknown): unknown {
  if (method === 'eth_getLogs') return pickLogs(value)
  const names = members.get(method)
  if (names === undefined || value === null) return value ?? null
  return names.map((name) => {
    const member = readMember(value, name)
    return (name === 'logs' ? pickLogs(member) : member) ?? null
  })
}

function pickLogs(value: unknown): unknown {
  if (!Array.isArray(value)) return value ?? null
  return value.map((log: unknown) => ofLog.map((name) => readMember(log, name) ?? null))
}
