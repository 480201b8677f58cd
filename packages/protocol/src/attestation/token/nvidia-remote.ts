/** Answers of NVIDIA's Remote Attestation Service: a token for all GPUs and one for each (spec/attestation.md AT11.4). */
import { encodeUtf8 } from '../../bytes/byte-string.ts'
import { isCborArray, isCborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson, type JsonMap } from '../../bytes/json-decode.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { Appraiser } from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimHex, claimText, expectClaim, findClaim } from './claim.ts'
import { parseWebToken, type WebToken } from './web-token.ts'
import { maxAnswerBytes, maxDevices } from '../limits.ts'

type Device = {
  readonly name: string
  /** SHA-256 of its token in hex. */
  readonly digest: string
  readonly token: WebToken
}

/** Appraises the answer `[["JWT", token], {name: token, …}]`. Collateral: `key-set`. */
export const appraiseNvidiaRemote: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService = {
  platform: 'nvidia-remote-attestation',
  algorithm: 'ES384',
  issuer: /^https:\/\/nras\.attestation\.nvidia\.com$/,
  parse(raw) {
    const { whole, devices } = parseAnswer(raw)
    const nonce = claimHex(whole.claims, 'eat_nonce')
    const claims = devices.map(({ token }) => token.claims)
    const textsOf = (name: string): readonly string[] =>
      claims.map((device) => claimText(device, name))
    return {
      tokens: [whole, ...devices.map(({ token }) => token)],
      isDebug: claims.some((device) => findClaim(device, 'dbgstat') !== 'disabled'),
      checkConfiguration() {
        expectClaim(whole.claims, 'x-nvidia-overall-att-result', true)
        checkSubmodules(whole.claims, devices)
        for (const device of claims) {
          expectClaim(device, 'eat_nonce', toHex(nonce))
          expectClaim(device, 'measres', 'success')
          expectClaim(device, 'secboot', true)
        }
      },
      claims: {
        binding: { form: 'gpu', values: [nonce] },
        measurements: new Map([
          ...common('driver', textsOf('x-nvidia-gpu-driver-version')),
          ...common('vbios', textsOf('x-nvidia-gpu-vbios-version')),
        ]),
        settings: [...new Set(textsOf('hwmodel'))].map((hardware) => `hwmodel ${hardware}`),
        machine: textsOf('ueid').join(' '),
      },
    }
  },
}

function parseAnswer(raw: Uint8Array): { whole: WebToken; devices: readonly Device[] } {
  const answer = raw.length > maxAnswerBytes ? undefined : decodeJson(raw)
  const [head, tail, ...rest] = toItems(answer)
  const [form, whole, ...more] = toItems(head)
  const isPair = form === 'JWT' && rest.length + more.length === 0
  const isList = isCborMap(tail) && tail.size > 0 && tail.size <= maxDevices
  refuseUnless(isPair && isList, 'token-malformed')
  const devices = Array.from(tail, ([name, text]) => {
    const bytes = tokenBytes(text)
    return { name: String(name), digest: toHex(sha256(bytes)), token: parseWebToken(bytes) }
  })
  return { whole: parseWebToken(tokenBytes(whole)), devices }
}

function tokenBytes(text: CborValue | undefined): Uint8Array {
  refuseUnless(typeof text === 'string', 'token-malformed')
  return encodeUtf8(text)
}

/** The token for all names each of the others by its hash, and no more than there are. */
function checkSubmodules(overall: JsonMap, devices: readonly Device[]): void {
  const submodules = findClaim(overall, 'submods')
  const named = isCborMap(submodules) ? submodules : new Map<string, CborValue>()
  const areNamed = devices.every(({ name, digest }) => {
    const [form, detail] = toItems(named.get(name))
    const [algorithm, hash] = toItems(detail)
    return form === 'DIGEST' && algorithm === 'SHA-256' && hash === digest
  })
  refuseUnless(areNamed && named.size === devices.length, 'token-submodule-mismatch')
}

/** The hex of what all devices have in common; nothing when one differs, so that no policy takes one for all. */
function common(name: string, values: readonly string[]): readonly (readonly [string, string])[] {
  const [first, ...others] = new Set(values)
  return first === undefined || others.length > 0 ? [] : [[name, toHex(encodeUtf8(first))]]
}

function toItems(value: CborValue | undefined): readonly CborValue[] {
  return isCborArray(value) ? value : []
}
