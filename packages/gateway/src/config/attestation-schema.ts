/** The member `attestation`: where evidence for the keys comes from. */
import { z } from 'zod'

const milliseconds = z.int().min(1).max(86_400_000)
const pcr = z.int().min(0).max(23)

const hardware = {
  collateralDir: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of collateral that the machine does not have: one file each, by its name.'),
  timeoutMs: milliseconds.default(60_000).describe('For each question to the source of evidence.'),
}

const measuredBoot = {
  pcrs: z
    .array(pcr)
    .max(24)
    .default([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11])
    .describe('PCRs of the SHA-256 bank that are quoted besides applicationPcr.'),
  applicationPcr: z
    .int()
    .min(8)
    .max(15)
    .default(14)
    .describe('PCR that the gateway measures itself into; nobody else may extend it.'),
  bootLogFile: z
    .string()
    .min(1)
    .optional()
    .describe('Event log of the firmware, /sys/kernel/security/tpm0/binary_bios_measurements.'),
}

const tpmAddress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('device'), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal('unix'), path: z.string().min(1) }),
  z.strictObject({
    kind: z.literal('tcp'),
    host: z.string().min(1),
    port: z.int().min(1).max(65_535),
  }),
])

const sources = [
  z.strictObject({
    kind: z.literal('tsm'),
    folder: z.string().min(1).optional(),
    privilegeLevel: z.int().min(0).max(3).optional().describe('VMPL of SEV-SNP.'),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('dstack'),
    socketPath: z.string().min(1).optional(),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('confidential-space'),
    socketPath: z.string().min(1).default('/run/container_launcher/teeserver.sock'),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('nitro-enclave'),
    socketPath: z.string().min(1).describe('Socket of the helper that asks the security module.'),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('nitro-tpm'),
    tpm: tpmAddress.default({ kind: 'device', path: '/dev/tpm0' }),
    nvIndex: z
      .int()
      .min(0x01800000)
      .max(0x01bfffff)
      .default(0x01800c51)
      .describe('NV index that is made for each exchange and removed after it.'),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('azure'),
    tpm: tpmAddress.default({ kind: 'device', path: '/dev/tpmrm0' }),
    ...measuredBoot,
    metadataUrl: z
      .url({ protocol: /^https?$/ })
      .default('http://169.254.169.254')
      .describe(
        'Metadata service of the machine: certificates of its chip, quotes of its reports.',
      ),
    ...hardware,
  }),
  z.strictObject({
    kind: z.literal('tpm'),
    tpm: tpmAddress.default({ kind: 'device', path: '/dev/tpmrm0' }),
    ...measuredBoot,
    akCertificate: z
      .strictObject({
        index: z
          .int()
          .min(0x01000000)
          .max(0x01ffffff)
          .default(0x01c10002)
          .describe('NV index of the certificate; the template of the key is at the next one.'),
        authoritiesFile: z.string().min(1).describe('PEM, root first.'),
      })
      .optional()
      .describe('A key that the platform certified (Google Cloud), in place of an enrolment.'),
    enrolmentFile: z
      .string()
      .min(1)
      .default('enrolment.cbor')
      .describe(
        'Signed record of the enrolment; made at the first start where challengerUrl is set.',
      ),
    challengerUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Who enrols this TPM when enrolmentFile is not there.'),
    ...hardware,
  }),
] as const

const simulated = z.strictObject({ kind: z.literal('simulated') })
const auto = z.strictObject({ kind: z.literal('auto'), ...hardware })
const several = z
  .strictObject({
    kind: z.literal('several'),
    sources: z
      .array(z.discriminatedUnion('kind', sources))
      .min(2)
      .max(8)
      .describe('Each of another platform.'),
    atLeast: z
      .int()
      .min(1)
      .max(8)
      .optional()
      .describe('So many must give evidence, or there is none; by default all.'),
  })
  .refine(
    ({ sources: listed, atLeast = 1 }) => atLeast <= listed.length,
    'atLeast is more than there are sources',
  )

/** One source, several, the one that the machine has, or none. */
export const attestationSchema: z.ZodDiscriminatedUnion<
  [typeof simulated, typeof auto, typeof several, ...typeof sources]
> = z.discriminatedUnion('kind', [simulated, auto, several, ...sources])
