/** From where a call comes (spec/payment.md PA30.3). */
import { expect, test } from 'vitest'
import { createCallerFinder, isNetwork } from '../src/http/caller-address.ts'

function find(
  proxies: readonly string[],
  remoteAddress: string | undefined,
  forwarded?: string,
): string {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  return createCallerFinder(proxies)({ headers, socket: { remoteAddress } })
}

test('a header counts for nothing unless a listed proxy sends it', () => {
  expect(find([], '192.0.2.1', '198.51.100.7')).toBe('192.0.2.1')
  expect(find(['203.0.113.1'], '192.0.2.1', '198.51.100.7')).toBe('192.0.2.1')
  expect(find(['192.0.2.1'], '192.0.2.1', '198.51.100.7')).toBe('198.51.100.7')
  expect(find(['192.0.2.1'], '192.0.2.1')).toBe('192.0.2.1')
})

test('what callers write before the proxies is not looked at', () => {
  const proxies = ['10.0.0.0/8', '127.0.0.1']
  expect(find(proxies, '127.0.0.1', '1.1.1.1, 198.51.100.7, 10.1.2.3')).toBe('198.51.100.7')
  expect(find(proxies, '127.0.0.1', 'nonsense, 10.1.2.3')).toBe('10.1.2.3')
  expect(find(proxies, '127.0.0.1', '10.9.9.9')).toBe('10.9.9.9')
  expect(find(proxies, '127.0.0.1', '')).toBe('127.0.0.1')
  const long = [...Array<string>(1000).fill('10.0.0.1'), '198.51.100.7', '10.0.0.2'].join(',')
  expect(find(proxies, '127.0.0.1', long)).toBe('198.51.100.7')
})

test('holders of an IPv6 network are one caller, and IPv4 is itself in every form', () => {
  const one = find([], '2001:db8:0:1::1')
  expect(find([], '2001:db8::1:ffff:2:3:4')).toBe(one)
  expect(find([], '2001:db8:0:2::1')).not.toBe(one)
  expect(find([], '::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(find(['192.0.2.1'], '::ffff:c000:201', '[2001:DB8:0:1::9]:443')).toBe(one)
  expect(find(['192.0.2.1'], '::ffff:192.0.2.1', '198.51.100.7:4711')).toBe('198.51.100.7')
  expect(find([], 'fe80::1%eth0')).toBe('fe80:0:0:0::')
  // What stands for a network is itself: a sealed call carries it.
  expect(find([], one)).toBe(one)
  expect(find([], undefined)).toBe('unknown')
})

test('networks are read strictly', () => {
  for (const text of ['10.0.0.0/8', '::1', 'fd00::/64', '0.0.0.0/0']) {
    expect(isNetwork(text), text).toBe(true)
  }
  for (const text of [
    '10.0.0.0/33',
    '10.0.0/8',
    'proxy',
    '',
    '::/129',
    '::1/08',
    '::1%lo',
    '1.2.3.4/8/8',
  ]) {
    expect(isNetwork(text), text).toBe(false)
  }
})
