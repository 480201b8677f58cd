/** Pictures in a prompt: the base64 text goes on as it came. */
import type { CallOptions, TargetWire } from './caller-request.ts'
import { refuseMember } from './members.ts'

type UserPart = Extract<CallOptions['prompt'][number], { role: 'user' }>['content'][number]

const mediaTypes = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp'])
const base64 = /^[A-Za-z0-9+/]+={0,2}$/
const dataUrl = /^data:([a-z]+\/[a-z0-9.+-]+);base64,/

/** A picture of a data URL, or at an address where the provider fetches it. */
export function readImageUrl(url: string, target: TargetWire, path: string): UserPart {
  const [prefix = '', mediaType = ''] = dataUrl.exec(url) ?? []
  if (prefix !== '') return readImageData(url.slice(prefix.length), mediaType, path)
  // Google's clients name files of the operator's account this way; others are not fetched.
  if (target === 'google-generate') throw refuseMember(path, 'must be a data URL for this model')
  const parsed = URL.parse(url)
  if (parsed?.protocol !== 'https:' || parsed.href !== url) {
    throw refuseMember(path, 'must be a data URL or an https address in its normal form')
  }
  return { type: 'file', mediaType: 'image/*', data: { type: 'url', url: parsed } }
}

/** A picture as base64. */
export function readImageData(data: string, mediaType: string, path: string): UserPart {
  if (!mediaTypes.has(mediaType))
    throw refuseMember(path, 'must be a PNG, JPEG, GIF or WebP picture')
  if (data.length % 4 !== 0 || !base64.test(data)) throw refuseMember(path, 'must be base64')
  return { type: 'file', mediaType, data: { type: 'data', data } }
}
