/** The commands of a TPM 2.0 that attestation needs, one function each (TCG TPM 2.0 Library, Part 3). */
import { parseTpmPublic, type TpmPublic } from '@countersign/protocol/attestation/tpm/tpm-public'
import {
  parseTpmQuote,
  readSelections,
  type TpmQuote,
} from '@countersign/protocol/attestation/tpm/tpm-quote'
import { AttestationError } from '../attestation-error.ts'
import { selectPcrs, sized, u16, u32 } from './tpm-bytes.ts'
import { asMalformed, runTpmCommand, TpmRefusal, type TpmAuthorization } from './tpm-command.ts'
import type { TpmTransport } from './tpm-transport.ts'
import { tpmNull, tpmSha256 } from '@countersign/protocol/attestation/tpm/tpm-numbers'

/** A key that is loaded until `flushContext`. */
export type TpmKey = { readonly handle: number; readonly public: TpmPublic }

/** A quote as the TPM gave it: TPMS_ATTEST, TPMT_SIGNATURE, and the first one parsed. */
export type TpmQuoted = {
  readonly attest: Uint8Array
  readonly signature: Uint8Array
  readonly quote: TpmQuote
}

/** What MakeCredential made for an AK (TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET without their lengths). */
export type TpmCredential = {
  readonly idObject: Uint8Array
  readonly encryptedSecret: Uint8Array
}

const hierarchyEndorsement = 0x4000000b
const hierarchyNull = 0x40000007
const password: TpmAuthorization = { kind: 'password' }
const policySession = 1
const sha256Bytes = 32
const maxPublicBytes = 1024
const maxAttestBytes = 1024
const maxSecretBytes = 64
const capabilityPcrs = 5
const alreadyStarted = 0x100

/** Starts a TPM that no firmware started; one that runs is left as it is. */
export async function startup(tpm: TpmTransport): Promise<void> {
  try {
    await runTpmCommand(tpm, {
      name: 'Startup',
      handles: [],
      authorizations: [],
      parameters: u16(0),
      answersHandle: false,
    })
  } catch (error) {
    if (!(error instanceof TpmRefusal) || error.responseCode !== alreadyStarted) throw error
  }
}

/** Makes the primary key of the endorsement hierarchy for this template: the same one each time. */
export async function createPrimary(tpm: TpmTransport, template: Uint8Array): Promise<TpmKey> {
  const noSensitive = sized(sized(), sized())
  const { handle, parameters } = await runTpmCommand(tpm, {
    name: 'CreatePrimary',
    handles: [hierarchyEndorsement],
    authorizations: [password],
    parameters: Buffer.concat([noSensitive, sized(template), sized(), u32(0)]),
    answersHandle: true,
  })
  return asMalformed('TPM2_CreatePrimary', () => ({
    handle,
    public: parseTpmPublic(parameters.sized(maxPublicBytes)),
  }))
}

/**
 * A key that somebody keeps in the TPM under a handle.
 *
 * @throws AttestationError `attester-refused` where there is none.
 */
export async function readPersistentKey(tpm: TpmTransport, handle: number): Promise<TpmKey> {
  const { parameters } = await runTpmCommand(tpm, {
    name: 'ReadPublic',
    handles: [handle],
    authorizations: [],
    parameters: Buffer.alloc(0),
    answersHandle: false,
  })
  return asMalformed('TPM2_ReadPublic', () => ({
    handle,
    public: parseTpmPublic(parameters.sized(maxPublicBytes)),
  }))
}

/** Removes a key or a session from the TPM. */
export async function flushContext(tpm: TpmTransport, handle: number): Promise<void> {
  await runTpmCommand(tpm, {
    name: 'FlushContext',
    handles: [],
    authorizations: [],
    parameters: u32(handle),
    answersHandle: false,
  })
}

/** Runs a task with what is loaded under a handle, then removes it. */
export async function flushAfter<T>(
  tpm: TpmTransport,
  handle: number,
  task: () => Promise<T>,
): Promise<T> {
  const flush = (): Promise<void> => flushContext(tpm, handle)
  const value = await afterFailure(task, flush)
  await flush()
  return value
}

/** Cleans up when a task fails. What then fails too is not told: the first error says what happened. */
async function afterFailure<T>(task: () => Promise<T>, cleanUp: () => Promise<void>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    await cleanUp().catch(() => undefined)
    throw error
  }
}

/** Extends a PCR of the SHA-256 bank. */
export async function extendPcr(tpm: TpmTransport, pcr: number, digest: Uint8Array): Promise<void> {
  await runTpmCommand(tpm, {
    name: 'PCR_Extend',
    handles: [pcr],
    authorizations: [password],
    parameters: Buffer.concat([u32(1), u16(tpmSha256), digest]),
    answersHandle: false,
  })
}

/**
 * Values of PCRs of the SHA-256 bank, in the order asked for.
 *
 * @throws AttestationError `attester-malformed` when the TPM has no such bank or PCR.
 */
export async function readPcrs(
  tpm: TpmTransport,
  pcrs: readonly number[],
): Promise<readonly Uint8Array[]> {
  const values: Uint8Array[] = []
  // A TPM gives at most eight values at a time, and may give fewer: one at a time needs no bookkeeping.
  for (const pcr of pcrs) values.push(await readPcr(tpm, pcr))
  return values
}

async function readPcr(tpm: TpmTransport, pcr: number): Promise<Uint8Array> {
  const { parameters } = await runTpmCommand(tpm, {
    name: 'PCR_Read',
    handles: [],
    authorizations: [],
    parameters: selectPcrs(tpmSha256, [pcr]),
    answersHandle: false,
  })
  const value = asMalformed('TPM2_PCR_Read', () => {
    parameters.u32()
    readSelections(parameters)
    const digests = Array.from({ length: parameters.count(1) }, () => parameters.sized(sha256Bytes))
    parameters.end()
    return digests[0]
  })
  if (value?.length !== sha256Bytes) {
    throw new AttestationError('attester-malformed', `no PCR ${pcr} in a SHA-256 bank`)
  }
  return value
}

/** True when the TPM keeps its SHA-256 bank, with all 24 PCRs. */
export async function hasSha256Bank(tpm: TpmTransport): Promise<boolean> {
  const { parameters } = await runTpmCommand(tpm, {
    name: 'GetCapability',
    handles: [],
    authorizations: [],
    parameters: Buffer.concat([u32(capabilityPcrs), u32(0), u32(1)]),
    answersHandle: false,
  })
  return asMalformed('TPM2_GetCapability', () => {
    parameters.u8()
    const isPcrs = parameters.u32() === capabilityPcrs
    const banks = isPcrs ? readSelections(parameters) : []
    parameters.end()
    return banks.some(({ hash, pcrs }) => hash === tpmSha256 && pcrs.length === 24)
  })
}

/** Signs the present values of PCRs of the SHA-256 bank, with 32 bytes of the caller. */
export async function quotePcrs(
  tpm: TpmTransport,
  key: TpmKey,
  qualifyingData: Uint8Array,
  pcrs: readonly number[],
): Promise<TpmQuoted> {
  const scheme = u16(tpmNull)
  const selection = selectPcrs(tpmSha256, pcrs)
  const { parameters } = await runTpmCommand(tpm, {
    name: 'Quote',
    handles: [key.handle],
    authorizations: [password],
    parameters: Buffer.concat([sized(qualifyingData), scheme, selection]),
    answersHandle: false,
  })
  return asMalformed('TPM2_Quote', () => {
    const attest = parameters.sized(maxAttestBytes)
    const signature = parameters.rest()
    return { attest, signature, quote: parseTpmQuote(attest) }
  })
}

/**
 * Proves that the AK lives in the same TPM as the EK: gives the secret that a challenger encrypted to both.
 *
 * The session that PolicySecret authorizes ends with the command; after an error it is flushed.
 */
export async function activateCredential(
  tpm: TpmTransport,
  ak: TpmKey,
  ek: TpmKey,
  credential: TpmCredential,
): Promise<Uint8Array> {
  const session = await startPolicySession(tpm)
  return afterFailure(
    async () => {
      await allowByEndorsement(tpm, session)
      const { parameters } = await runTpmCommand(tpm, {
        name: 'ActivateCredential',
        handles: [ak.handle, ek.handle],
        authorizations: [password, { kind: 'session', handle: session }],
        parameters: Buffer.concat([sized(credential.idObject), sized(credential.encryptedSecret)]),
        answersHandle: false,
      })
      return asMalformed('TPM2_ActivateCredential', () => {
        const secret = parameters.sized(maxSecretBytes)
        parameters.end()
        return secret
      })
    },
    () => flushContext(tpm, session),
  )
}

async function startPolicySession(tpm: TpmTransport): Promise<number> {
  const { handle } = await runTpmCommand(tpm, {
    name: 'StartAuthSession',
    handles: [hierarchyNull, hierarchyNull],
    authorizations: [],
    parameters: Buffer.concat([
      // The nonce is for HMACs, and nothing here has one: its length is all that counts.
      sized(Buffer.alloc(sha256Bytes)),
      sized(),
      Buffer.of(policySession),
      u16(tpmNull),
      u16(tpmSha256),
    ]),
    answersHandle: true,
  })
  return handle
}

/** PolicySecret with the endorsement hierarchy: what the policy of an EK asks for. */
async function allowByEndorsement(tpm: TpmTransport, session: number): Promise<void> {
  await runTpmCommand(tpm, {
    name: 'PolicySecret',
    handles: [hierarchyEndorsement, session],
    authorizations: [password],
    parameters: Buffer.concat([sized(), sized(), sized(), u32(0)]),
    answersHandle: false,
  })
}
