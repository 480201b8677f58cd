/** Opens the source of evidence that the configuration names, before any key is made. */
import { readFile } from 'node:fs/promises'
import { parsePemCertificates } from '@countersign/protocol/attestation/x509/pem'
import { listGatewayEvents } from '@countersign/protocol/attestation/tpm/measured-log'
import type { AttestationConfig } from '../config/schema.ts'
import { AttestationError } from './attestation-error.ts'
import { createAzureSource } from './azure/azure-source.ts'
import { createAttester, type Attester } from './attester.ts'
import { withCollateral } from './collateral-folder.ts'
import { createConfidentialSpaceSource } from './confidential-space-source.ts'
import { detectSource, findDstackSocket, tsmFolder } from './detect-source.ts'
import { createDstackSource } from './dstack-source.ts'
import type { EvidenceSource } from './evidence-source.ts'
import { createNitroEnclaveSource } from './nitro-enclave-source.ts'
import { createNitroTpmSource } from './nitro-tpm-source.ts'
import { createSetAttester, type SetOptions } from './set-attester.ts'
import { createSimulatedAttester } from './simulated-attester.ts'
import type { AkSource } from './tpm/endorsed-key.ts'
import { createHttpChallenger } from './tpm/http-challenger.ts'
import { readOrEnrol } from './tpm/read-or-enrol.ts'
import { createTpmAttester } from './tpm/tpm-attester.ts'
import { createTsmSource } from './tsm/tsm-source.ts'

type HardwareConfig = Exclude<AttestationConfig, { kind: 'simulated' | 'several' }>
type TpmConfig = Extract<AttestationConfig, { kind: 'tpm' }>
type Digests = { readonly build: Uint8Array; readonly configuration: Uint8Array }

/**
 * The attester of a configuration. `auto` takes the one source of the machine, never a simulated one. A TPM is
 * enrolled where it has no record yet, and measures the gateway. All of several sources must open, one after the other.
 *
 * @param onMissing - told of a source that gave no evidence where the others are enough.
 * @throws AttestationError
 */
export async function openAttester(
  config: AttestationConfig,
  digests: Digests,
  onMissing: SetOptions['onMissing'] = () => undefined,
): Promise<Attester> {
  if (config.kind === 'simulated') return createSimulatedAttester(digests.build)
  if (config.kind !== 'several') return createAttester(await openWhole(config, digests))
  const sources: EvidenceSource[] = []
  for (const each of config.sources) sources.push(await openWhole(each, digests))
  return createSetAttester(sources, { atLeast: config.atLeast ?? sources.length, onMissing })
}

async function openWhole(config: HardwareConfig, digests: Digests): Promise<EvidenceSource> {
  const source = await openSource(config, digests)
  const { collateralDir } = config
  return collateralDir === undefined ? source : withCollateral(source, collateralDir)
}

async function openSource(config: HardwareConfig, digests: Digests): Promise<EvidenceSource> {
  switch (config.kind) {
    case 'auto': {
      const { timeoutMs } = config
      return openSource({ ...detectSource(), timeoutMs }, digests)
    }
    case 'tsm': {
      const { folder = tsmFolder, privilegeLevel } = config
      return createTsmSource({
        folder,
        ...(privilegeLevel === undefined ? {} : { privilegeLevel }),
      })
    }
    case 'dstack':
      return createDstackSource(config.socketPath ?? findDstackSocket(), config.timeoutMs)
    case 'confidential-space':
      return createConfidentialSpaceSource(config.socketPath, config.timeoutMs)
    case 'nitro-enclave':
      return createNitroEnclaveSource(config.socketPath, config.timeoutMs)
    case 'nitro-tpm': {
      const { tpm: address, nvIndex, timeoutMs } = config
      return createNitroTpmSource({ address, nvIndex, timeoutMs })
    }
    case 'azure': {
      const { tpm: address, timeoutMs, pcrs, applicationPcr, bootLogFile, metadataUrl } = config
      return createAzureSource({
        address,
        timeoutMs,
        pcrs,
        applicationPcr,
        metadataUrl,
        events: listGatewayEvents(digests.build, digests.configuration),
        ...(bootLogFile === undefined ? {} : { bootLogFile }),
      })
    }
    case 'tpm':
      return openTpmSource(config, digests)
  }
}

async function openTpmSource(config: TpmConfig, digests: Digests): Promise<EvidenceSource> {
  const { tpm: address, timeoutMs, pcrs, applicationPcr, bootLogFile } = config
  return createTpmAttester({
    address,
    timeoutMs,
    pcrs,
    applicationPcr,
    endorsement: await openEndorsement(config),
    events: listGatewayEvents(digests.build, digests.configuration),
    ...(bootLogFile === undefined ? {} : { bootLogFile }),
  })
}

async function openEndorsement(config: TpmConfig): Promise<AkSource> {
  const { tpm: address, timeoutMs, akCertificate, challengerUrl, enrolmentFile } = config
  if (akCertificate !== undefined) {
    const { index, authoritiesFile } = akCertificate
    return { kind: 'certificate', index, authorities: await readAuthorities(authoritiesFile) }
  }
  const challenger =
    challengerUrl === undefined ? undefined : createHttpChallenger(challengerUrl, timeoutMs)
  const record = await readOrEnrol(enrolmentFile, address, timeoutMs, challenger)
  return { kind: 'enrolment', record }
}

async function readAuthorities(file: string): Promise<readonly Uint8Array[]> {
  try {
    return parsePemCertificates(await readFile(file))
  } catch (cause) {
    throw new AttestationError('attester-unreachable', file, { cause })
  }
}
