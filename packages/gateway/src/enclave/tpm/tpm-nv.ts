/** What is stored in a TPM at an index (TPM 2.0 Part 3 §31): certificates of makers, and room for a message. */
import { openTpmReader } from '@countersign/protocol/attestation/tpm/tpm-reader'
import { AttestationError } from '../attestation-error.ts'
import { sized, u16, u32 } from './tpm-bytes.ts'
import { asMalformed, runTpmCommand, TpmRefusal, type TpmAuthorization } from './tpm-command.ts'
import type { TpmTransport } from './tpm-transport.ts'

/** Who may read an index: whoever knows its password (commonly empty), or the owner of the machine. */
export type NvReader = 'index' | 'owner'

/** An index of ours: where, how many bytes, and the password that guards it (64 bytes at most). */
export type NvArea = {
  readonly index: number
  readonly sizeBytes: number
  readonly password: Uint8Array
}

const hierarchyOwner = 0x40000001
const sha512 = 0x000d
// TPMA_NV_AUTHWRITE, TPMA_NV_AUTHREAD: nobody but who knows the password.
const byPasswordOnly = 0x00040004
const maxPublicBytes = 1024
const maxNameBytes = 66
const maxNvBytes = 4096
const pieceBytes = 512
const noPassword: TpmAuthorization = { kind: 'password' }
const handleUnknown = 0x18b
const alreadyDefined = 0x14c

/**
 * What is stored at an NV index, or `undefined` when there is no such index.
 *
 * @throws AttestationError, also when more than 4,096 bytes are stored.
 */
export async function readNv(
  tpm: TpmTransport,
  index: number,
  reader: NvReader = 'index',
): Promise<Uint8Array | undefined> {
  const sizeBytes = await readNvSize(tpm, index)
  if (sizeBytes === undefined) return undefined
  const authorizer = reader === 'owner' ? hierarchyOwner : index
  return readPieces(tpm, [authorizer, index], noPassword, sizeBytes)
}

/** All bytes of an index of ours. What was never written reads as the TPM likes. */
export function readNvArea(tpm: TpmTransport, area: NvArea): Promise<Uint8Array> {
  return readPieces(tpm, [area.index, area.index], toAuthorization(area), area.sizeBytes)
}

/**
 * Makes an index of ours. One that is already there is what a process of ours left that was killed: it is removed.
 *
 * @throws AttestationError `attester-refused` where the owner's password is not empty or the TPM has no room.
 */
export async function defineNvArea(tpm: TpmTransport, area: NvArea): Promise<void> {
  try {
    await defineNv(tpm, area)
  } catch (error) {
    if (!(error instanceof TpmRefusal) || error.responseCode !== alreadyDefined) throw error
    await undefineNv(tpm, area.index)
    await defineNv(tpm, area)
  }
}

/** Writes from the beginning of an index of ours. */
export async function writeNvArea(
  tpm: TpmTransport,
  area: NvArea,
  bytes: Uint8Array,
): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
    const piece = bytes.subarray(offset, offset + pieceBytes)
    await runTpmCommand(tpm, {
      name: 'NV_Write',
      handles: [area.index, area.index],
      authorizations: [toAuthorization(area)],
      parameters: Buffer.concat([sized(piece), u16(offset)]),
      answersHandle: false,
    })
  }
}

/** Removes an index that the owner made. */
export async function undefineNv(tpm: TpmTransport, index: number): Promise<void> {
  await runTpmCommand(tpm, {
    name: 'NV_UndefineSpace',
    handles: [hierarchyOwner, index],
    authorizations: [noPassword],
    parameters: Buffer.alloc(0),
    answersHandle: false,
  })
}

/** Asks AWS's hypervisor for what the request at this index asks for: the answer takes its place. */
export async function runNsmRequest(tpm: TpmTransport, area: NvArea): Promise<void> {
  await runTpmCommand(tpm, {
    name: 'AwsNsmRequest',
    handles: [area.index, area.index],
    authorizations: [toAuthorization(area)],
    parameters: Buffer.alloc(0),
    answersHandle: false,
  })
}

function toAuthorization({ password }: NvArea): TpmAuthorization {
  return { kind: 'password', password }
}

async function defineNv(tpm: TpmTransport, area: NvArea): Promise<void> {
  const { index, sizeBytes, password } = area
  const publicArea = [u32(index), u16(sha512), u32(byPasswordOnly), sized(), u16(sizeBytes)]
  await runTpmCommand(tpm, {
    name: 'NV_DefineSpace',
    handles: [hierarchyOwner],
    authorizations: [noPassword],
    parameters: Buffer.concat([sized(password), sized(...publicArea)]),
    answersHandle: false,
  })
}

async function readPieces(
  tpm: TpmTransport,
  handles: readonly number[],
  authorization: TpmAuthorization,
  sizeBytes: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for (let offset = 0; offset < sizeBytes; offset += pieceBytes) {
    const length = Math.min(pieceBytes, sizeBytes - offset)
    const { parameters } = await runTpmCommand(tpm, {
      name: 'NV_Read',
      handles,
      authorizations: [authorization],
      parameters: Buffer.concat([u16(length), u16(offset)]),
      answersHandle: false,
    })
    const piece = asMalformed('TPM2_NV_Read', () => parameters.sized(length))
    if (piece.length !== length) throw new AttestationError('attester-malformed', 'TPM2_NV_Read')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

async function readNvSize(tpm: TpmTransport, index: number): Promise<number | undefined> {
  try {
    const { parameters } = await runTpmCommand(tpm, {
      name: 'NV_ReadPublic',
      handles: [index],
      authorizations: [],
      parameters: Buffer.alloc(0),
      answersHandle: false,
    })
    return asMalformed('TPM2_NV_ReadPublic', () => {
      const area = openTpmReader(parameters.sized(maxPublicBytes))
      area.take(4 + 2 + 4)
      area.sized(maxNameBytes)
      const sizeBytes = area.u16()
      area.end()
      return atMostNv(sizeBytes)
    })
  } catch (error) {
    if (error instanceof TpmRefusal && error.responseCode === handleUnknown) return undefined
    throw error
  }
}

function atMostNv(sizeBytes: number): number {
  if (sizeBytes > maxNvBytes)
    throw new AttestationError('attester-malformed', 'size of an NV index')
  return sizeBytes
}
