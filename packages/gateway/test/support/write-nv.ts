/** Writes an NV index of a TPM, as a maker or a platform does. */
import { runTpmCommand } from '../../src/enclave/tpm/tpm-command.ts'
import { sized, u16, u32 } from '../../src/enclave/tpm/tpm-bytes.ts'
import type { TpmTransport } from '../../src/enclave/tpm/tpm-transport.ts'

const hierarchyOwner = 0x40000001
// AUTHWRITE, OWNERWRITE, AUTHREAD, OWNERREAD, NO_DA: everybody reads, and writes.
const attributes = 0x02060006
const password = { kind: 'password' } as const

/** Defines an index of this size and fills it. */
export async function writeNv(tpm: TpmTransport, index: number, bytes: Uint8Array): Promise<void> {
  const area = [u32(index), u16(0x0b), u32(attributes), sized(), u16(bytes.length)]
  await runTpmCommand(tpm, {
    name: 'NV_DefineSpace',
    handles: [hierarchyOwner],
    authorizations: [password],
    parameters: Buffer.concat([sized(), sized(...area)]),
    answersHandle: false,
  })
  for (let offset = 0; offset < bytes.length; offset += 512) {
    await runTpmCommand(tpm, {
      name: 'NV_Write',
      handles: [index, index],
      authorizations: [password],
      parameters: Buffer.concat([sized(bytes.subarray(offset, offset + 512)), u16(offset)]),
      answersHandle: false,
    })
  }
}
