/** Which addresses count as one caller. */
import { isIPv6, SocketAddress } from 'node:net'

/** A holder of IPv6 addresses has 2^64 of them: they count as one. An IPv4 address in the form of IPv6 is itself. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const plain = normalizeAddress(address)
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0')
  const all = tail === undefined ? groups : [...groups, ...zeros, ...rest]
  return `${all.slice(0, 4).join(':')}::`
}

/** One text for each address: without a zone, and IPv4 as such. The text must be an address. */
export function normalizeAddress(address: string): string {
  if (!isIPv6(address)) return address
  const [withoutZone = address] = address.split('%')
  const { address: plain } = new SocketAddress({ address: withoutZone, family: 'ipv6' })
  return plain.startsWith('::ffff:') && plain.includes('.') ? plain.slice('::ffff:'.length) : plain
}
