/** Frames of TPM 2.0 commands and answers (TCG TPM 2.0 Library, Part 1 §18, Part 3). */
import { setTimeout as delay } from 'node:timers/promises'
import { openTpmReader, type TpmReader } from '@countersign/protocol/attestation/tpm/tpm-reader'
import { EvidenceError } from '@countersign/protocol/attestation/evidence-errors'
import { AttestationError } from '../attestation-error.ts'
import { sized, u16, u32 } from './tpm-bytes.ts'
import type { TpmTransport } from './tpm-transport.ts'

/** Commands that are used here, by their names in Part 3. */
const commandCodes = {
  Startup: 0x144,
  CreatePrimary: 0x131,
  FlushContext: 0x165,
  EvictControl: 0x120,
  ReadPublic: 0x173,
  Quote: 0x158,
  PCR_Read: 0x17e,
  PCR_Extend: 0x182,
  StartAuthSession: 0x176,
  PolicySecret: 0x151,
  ActivateCredential: 0x147,
  NV_ReadPublic: 0x169,
  NV_Read: 0x14e,
  NV_DefineSpace: 0x12a,
  NV_Write: 0x137,
  NV_UndefineSpace: 0x122,
  GetCapability: 0x17a,
  /** The vendor command of AWS: its hypervisor answers the request that stands at an NV index. */
  AwsNsmRequest: 0x20000001,
} as const

/** A command that this client knows. */
export type TpmCommandName = keyof typeof commandCodes

/** Proof of the right to use a handle: a password (empty where none is given), or a policy session. */
export type TpmAuthorization =
  | { readonly kind: 'password'; readonly password?: Uint8Array }
  | { readonly kind: 'session'; readonly handle: number }

/** A command. The first handles are the ones that need an authorization, one each. */
export type TpmCommand = {
  readonly name: TpmCommandName
  readonly handles: readonly number[]
  readonly authorizations: readonly TpmAuthorization[]
  readonly parameters: Uint8Array
  /** True where the answer begins with a handle. */
  readonly answersHandle: boolean
}

/** What a TPM answered: the handle (0 where there is none) and a reader over the parameters. */
export type TpmAnswer = { readonly handle: number; readonly parameters: TpmReader }

/** The TPM refused a command. `responseCode` as in Part 2 §6.6. */
export class TpmRefusal extends AttestationError {
  readonly command: TpmCommandName
  readonly responseCode: number

  constructor(command: TpmCommandName, responseCode: number) {
    super('attester-refused', `TPM2_${command} 0x${responseCode.toString(16)}`)
    this.command = command
    this.responseCode = responseCode
  }
}

const tagNoSessions = 0x8001
const tagSessions = 0x8002
const passwordHandle = 0x40000009
const maxParameterBytes = 4096
const maxNonceBytes = 64
// TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY: the same command may be sent again.
const again: ReadonlySet<number> = new Set([0x908, 0x90a, 0x922])
const maxAttempts = 50
const pauseMs = 10

/**
 * Runs a command; where the TPM asks for it, again, at most 50 times.
 *
 * @throws AttestationError; TpmRefusal for any response code but success.
 */
export async function runTpmCommand(tpm: TpmTransport, command: TpmCommand): Promise<TpmAnswer> {
  const bytes = encodeCommand(command)
  for (let attempt = 1; ; attempt++) {
    const response = await tpm.transmit(bytes)
    const responseCode = response.readUInt32BE(6)
    if (responseCode === 0) return asMalformed(command.name, () => parseAnswer(response, command))
    if (!again.has(responseCode) || attempt === maxAttempts) {
      throw new TpmRefusal(command.name, responseCode)
    }
    await delay(pauseMs)
  }
}

/**
 * Runs a parser of what a TPM answered.
 *
 * @throws AttestationError `attester-malformed` where the parser refuses.
 */
export function asMalformed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof EvidenceError)) throw cause
    throw new AttestationError('attester-malformed', what, { cause })
  }
}

function encodeCommand({ name, handles, authorizations, parameters }: TpmCommand): Buffer {
  const entries = Buffer.concat(authorizations.map(encodeAuthorization))
  const hasSessions = entries.length > 0
  const body = Buffer.concat([
    ...handles.map(u32),
    ...(hasSessions ? [u32(entries.length), entries] : []),
    parameters,
  ])
  return Buffer.concat([
    u16(hasSessions ? tagSessions : tagNoSessions),
    u32(10 + body.length),
    u32(commandCodes[name]),
    body,
  ])
}

/** Neither kind proves anything over the bytes: no nonce, no HMAC, and a session that ends with its command. */
function encodeAuthorization(authorization: TpmAuthorization): Buffer {
  if (authorization.kind === 'session') {
    return Buffer.concat([u32(authorization.handle), sized(), Buffer.of(0), sized()])
  }
  const { password = Buffer.alloc(0) } = authorization
  return Buffer.concat([u32(passwordHandle), sized(), Buffer.of(0), sized(password)])
}

function parseAnswer(response: Buffer, command: TpmCommand): TpmAnswer {
  const reader = openTpmReader(response)
  const sessions = command.authorizations.length
  const isTag = reader.u16() === (sessions > 0 ? tagSessions : tagNoSessions)
  if (!isTag) throw new AttestationError('attester-malformed', `tag of TPM2_${command.name}`)
  reader.take(8)
  const handle = command.answersHandle ? reader.u32() : 0
  if (sessions === 0) {
    const rest = response.subarray(10 + (command.answersHandle ? 4 : 0))
    return { handle, parameters: openTpmReader(rest) }
  }
  const parameters = reader.take(reader.count(maxParameterBytes))
  for (let session = 0; session < sessions; session++) {
    reader.sized(maxNonceBytes)
    reader.u8()
    reader.sized(maxNonceBytes)
  }
  reader.end()
  return { handle, parameters: openTpmReader(parameters) }
}
