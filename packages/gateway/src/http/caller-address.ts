/** From where a call comes (spec/payment.md PA30.3): what a proxy says of it is believed of listed proxies only. */
import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { networkOf, normalizeAddress } from '../limits/address-network.ts'

/** The network that a call comes from; the same text for callers that count as one. */
export type FindCaller = (request: {
  readonly headers: IncomingHttpHeaders
  readonly socket: { readonly remoteAddress?: string | undefined }
}) => string

/** Proxies behind one another; each adds one address. */
const maxHops = 16
const unknownCaller = 'unknown'

/**
 * Goes back from the connection as long as who is there is a listed proxy. What stands before the first that is not one
 * was written by a caller, and is not looked at.
 *
 * @param proxies - addresses, or networks as `10.0.0.0/8`.
 */
export function createCallerFinder(proxies: readonly string[]): FindCaller {
  const trusted = new BlockList()
  for (const proxy of proxies) addNetwork(trusted, proxy)
  return ({ headers, socket }) => {
    const peer = parseAddress(socket.remoteAddress)
    if (peer === undefined) return unknownCaller
    return networkOf(proxies.length === 0 ? peer : findBehind(trusted, peer, headers))
  }
}

/** Whether this text is an address, or a network with its length. */
export function isNetwork(text: string): boolean {
  const [address = '', length, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || address.includes('%') || more.length > 0) return false
  if (length === undefined) return true
  return /^(?:0|[1-9][0-9]{0,2})$/.test(length) && Number(length) <= (version === 4 ? 32 : 128)
}

function addNetwork(list: BlockList, text: string): void {
  const [address = '', length] = text.split('/')
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  if (length === undefined) list.addAddress(address, family)
  else list.addSubnet(address, Number(length), family)
}

function findBehind(trusted: BlockList, peer: string, headers: IncomingHttpHeaders): string {
  // Node joins headers of this name.
  const given = headers['x-forwarded-for']
  const hops = typeof given === 'string' ? given.split(',') : []
  let caller = peer
  for (const hop of hops.slice(-maxHops).toReversed()) {
    if (!trusted.check(caller, isIPv6(caller) ? 'ipv6' : 'ipv4')) return caller
    const before = parseAddress(withoutPort(hop.trim()))
    if (before === undefined) return caller
    caller = before
  }
  return caller
}

/** Some proxies write the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  const bracketed = /^\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?$/.exec(text)
  return bracketed?.[1] ?? /^([0-9.]{7,15}):[0-9]{1,5}$/.exec(text)?.[1] ?? text
}

function parseAddress(text: string | undefined): string | undefined {
  return text === undefined || isIP(text) === 0 ? undefined : normalizeAddress(text)
}
