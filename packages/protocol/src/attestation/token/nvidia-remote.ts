/** Answers of NVIDIA's Remote Attestation Service: a token for all GPUs and one for each (spec/attestation.md AT11.4). */
import { encodeUtf8 } from '../../bytes/byte-string.ts'
import { isCborArray, isCborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { decodeJson, type JsonMap } from '../../bytes/json-decode.ts'
import { fromHex, toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { Appraiser } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimText, expectClaim, findClaim } from './claim.ts'
import { parseWebToken, type WebToken } from './web-token.ts'

const issuer = 'https://nras.attestation.nvidia.com'
const maxAnswerBytes = 65_536
const maxDevices = 16

type Device = {
  readonly name: string
  /** SHA-256 of its token in hex. */
  readonly digest: string
  readonly token: WebToken
  readonly machine: string
  readonly hardware: string
  /** In hex, as all measurements are. */
  readonly driver: string
  readonly vbios: string
}

type Answer = {
  readonly overall: JsonMap
  readonly nonce: Uint8Array
  readonly devices: readonly Device[]
}

/** Appraises the answer `[["JWT", token], {name: token, …}]`. Collateral: `key-set`. */
export const appraiseNvidiaRemote: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService<Answer> = {
  platform: 'nvidia-remote-attestation',
  algorithm: 'ES384',
  isIssuer: (text) => text === issuer,
  parse(raw) {
    const { whole, devices } = parseAnswer(raw)
    const nonce = fromHex(claimText(whole.claims, ['eat_nonce']))
    if (nonce === undefined) throw new EvidenceError('token-claim-missing', 'eat_nonce')
    const tokens = [whole, ...devices.map(({ token }) => token)]
    return { tokens, said: { overall: whole.claims, nonce, devices } }
  },
  checkDebug({ devices }) {
    const areClosed = devices.every(
      ({ token }) => findClaim(token.claims, ['dbgstat']) === 'disabled',
    )
    if (!areClosed) throw new EvidenceError('debug-enabled')
  },
  checkConfiguration({ overall, nonce, devices }) {
    expectClaim(overall, ['x-nvidia-overall-att-result'], true)
    checkSubmodules(overall, devices)
    for (const { token } of devices) {
      expectClaim(token.claims, ['eat_nonce'], toHex(nonce))
      expectClaim(token.claims, ['measres'], 'success')
      expectClaim(token.claims, ['secboot'], true)
    }
  },
  describe: ({ nonce, devices }) => ({
    binding: { form: 'gpu', values: [nonce] },
    measurements: new Map([
      ...common(
        'driver',
        devices.map(({ driver }) => driver),
      ),
      ...common(
        'vbios',
        devices.map(({ vbios }) => vbios),
      ),
    ]),
    machine: devices.map(({ machine }) => machine).join(' '),
    settings: [...new Set(devices.map(({ hardware }) => `hwmodel ${hardware}`))],
  }),
}

function parseAnswer(raw: Uint8Array): { whole: WebToken; devices: readonly Device[] } {
  const answer = raw.length > maxAnswerBytes ? undefined : decodeJson(raw)
  const [head, tail, ...rest] = isCborArray(answer) ? answer : []
  const [form, whole, ...more] = isCborArray(head) ? head : []
  const isPair = form === 'JWT' && typeof whole === 'string' && rest.length + more.length === 0
  if (!isPair || !isCborMap(tail) || tail.size === 0 || tail.size > maxDevices) {
    throw new EvidenceError('token-malformed')
  }
  return { whole: parseWebToken(encodeUtf8(whole)), devices: [...tail].map(parseDevice) }
}

function parseDevice([name, text]: readonly [number | string, CborValue]): Device {
  if (typeof text !== 'string') throw new EvidenceError('token-malformed')
  const bytes = encodeUtf8(text)
  const token = parseWebToken(bytes)
  const { claims } = token
  return {
    name: String(name),
    digest: toHex(sha256(bytes)),
    token,
    machine: claimText(claims, ['ueid']),
    hardware: claimText(claims, ['hwmodel']),
    driver: toHex(encodeUtf8(claimText(claims, ['x-nvidia-gpu-driver-version']))),
    vbios: toHex(encodeUtf8(claimText(claims, ['x-nvidia-gpu-vbios-version']))),
  }
}

/** The token for all names each of the others by its hash, and no more than there are. */
function checkSubmodules(overall: JsonMap, devices: readonly Device[]): void {
  const submodules = findClaim(overall, ['submods'])
  const named = isCborMap(submodules) ? submodules : new Map<string, CborValue>()
  const areNamed = devices.every(({ name, digest }) => {
    const [form, detail] = toItems(named.get(name))
    const [algorithm, hash] = toItems(detail)
    return form === 'DIGEST' && algorithm === 'SHA-256' && hash === digest
  })
  if (!areNamed || named.size !== devices.length)
    throw new EvidenceError('token-submodule-mismatch')
}

/** What all devices have in common; nothing when one differs, so that no policy takes one for all. */
function common(name: string, values: readonly string[]): readonly (readonly [string, string])[] {
  const [first, ...others] = new Set(values)
  return first === undefined || others.length > 0 ? [] : [[name, first]]
}

function toItems(value: CborValue | undefined): readonly CborValue[] {
  return isCborArray(value) ? value : []
}
