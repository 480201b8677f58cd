/** Opens the source of evidence that the configuration names, before any key is made. */
import type { AttestationConfig } from '../config/schema.ts'
import { listGatewayEvents } from '@countersign/protocol/attestation/tpm/measured-log'
import { createAttester, type Attester } from './attester.ts'
import { createSimulatedAttester } from './simulated-attester.ts'
import { createHttpChallenger } from './tpm/http-challenger.ts'
import { readOrEnrol } from './tpm/read-or-enrol.ts'
import { createTpmAttester } from './tpm/tpm-attester.ts'

/**
 * The attester of a configuration. A TPM is enrolled where it has no record yet, and measures the gateway.
 *
 * @throws AttestationError
 */
export async function openAttester(
  config: AttestationConfig,
  buildDigest: Uint8Array,
  configDigest: Uint8Array,
): Promise<Attester> {
  switch (config.kind) {
    case 'simulated':
      return createSimulatedAttester(buildDigest)
    case 'tpm': {
      const { tpm: address, timeoutMs, pcrs, applicationPcr, bootLogFile, challengerUrl } = config
      const challenger =
        challengerUrl === undefined ? undefined : createHttpChallenger(challengerUrl, timeoutMs)
      const enrolment = await readOrEnrol(config.enrolmentFile, address, timeoutMs, challenger)
      return createAttester(
        await createTpmAttester({
          address,
          timeoutMs,
          pcrs,
          applicationPcr,
          enrolment,
          events: listGatewayEvents(buildDigest, configDigest),
          ...(bootLogFile === undefined ? {} : { bootLogFile }),
        }),
      )
    }
  }
}
