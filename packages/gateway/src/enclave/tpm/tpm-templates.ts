/** Templates of the keys that attestation makes: always the same, so that the TPM makes the same keys each time. */
import { sized, u16, u32 } from './tpm-bytes.ts'
import {
  tpmAes,
  tpmCfb,
  tpmEcc,
  tpmEcdsa,
  tpmNull,
  tpmRsa,
  tpmSha256,
} from '@countersign/protocol/attestation/tpm/tpm-numbers'

const restrictedSigner = 0x00050072
const endorsementStorage = 0x000300b2
const curveP256 = 3

/** PolicySecret(TPM_RH_ENDORSEMENT): the policy of every EK (TCG EK Credential Profile, template L-1). */
const endorsementPolicy = Buffer.from(
  '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa',
  'hex',
)

/** An attestation key: ECDSA P-256 with SHA-256; it signs nothing that comes from outside of its TPM. */
export const attestationKeyTemplate: Buffer = Buffer.concat([
  u16(tpmEcc),
  u16(tpmSha256),
  u32(restrictedSigner),
  sized(),
  u16(tpmNull),
  u16(tpmEcdsa),
  u16(tpmSha256),
  u16(curveP256),
  u16(tpmNull),
  sized(),
  sized(),
])

/** The RSA-2048 endorsement key that the certificate at NV index 0x01c00002 is for. */
export const endorsementKeyTemplate: Buffer = Buffer.concat([
  u16(tpmRsa),
  u16(tpmSha256),
  u32(endorsementStorage),
  sized(endorsementPolicy),
  u16(tpmAes),
  u16(128),
  u16(tpmCfb),
  u16(tpmNull),
  u16(2048),
  u32(0),
  sized(Buffer.alloc(256)),
])

/** Where the certificate of that endorsement key is. */
export const endorsementCertificateIndex = 0x01c00002
