/** Tokens of Microsoft Azure Attestation for confidential machines (spec/attestation.md AT11.3): Microsoft's word. */
import { toHex } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import { refuse } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimBoolean, claimHex, claimText, expectClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'

type HardwareNames = {
  readonly reportData: string
  readonly isDebuggable: string
  readonly measurements: readonly (readonly [name: string, claim: string])[]
  /** Without this a machine that Azure itself found wanting would pass. */
  readonly status: readonly [claim: string, ...accepted: string[]]
}

/** By `x-ms-attestation-type`: where the claims of the hardware are. */
const hardware: ReadonlyMap<string, HardwareNames> = new Map<string, HardwareNames>([
  [
    'sevsnpvm',
    {
      reportData: 'x-ms-sevsnpvm-reportdata',
      isDebuggable: 'x-ms-sevsnpvm-is-debuggable',
      measurements: [
        ['launch', 'x-ms-sevsnpvm-launchmeasurement'],
        ['host-data', 'x-ms-sevsnpvm-hostdata'],
      ],
      status: ['x-ms-compliance-status', 'azure-compliant-cvm', 'azure-compliant-uvm'],
    },
  ],
  [
    'tdxvm',
    {
      reportData: 'tdx_report_data',
      isDebuggable: 'tdx_td_attributes_debug',
      measurements: ['mrtd', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'].map((name) => [
        name,
        `tdx_${name}`,
      ]),
      status: ['attester_tcb_status', 'UpToDate'],
    },
  ],
])

/** Appraises a token about a report of SEV-SNP or TDX. Collateral: `key-set`. */
export const appraiseAzureAttestation: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService = {
  platform: 'azure-attestation',
  algorithm: 'RS256',
  // Every customer can have an instance with rules of its own: a policy names the instance that it believes.
  issuer: /^https:\/\/[a-z0-9]{1,64}(?:\.[a-z0-9]{1,16})?\.attest\.azure\.net$/,
  parse(raw) {
    const token = parseWebToken(raw)
    const { claims } = token
    const kind = claimText(claims, 'x-ms-attestation-type')
    const { reportData, isDebuggable, measurements, status } =
      hardware.get(kind) ?? refuse('token-claim-refused', 'x-ms-attestation-type')
    return {
      tokens: [token],
      isDebug: claimBoolean(claims, isDebuggable),
      checkConfiguration() {
        // Of SEV-SNP it is always there.
        if (kind === 'sevsnpvm') claimText(claims, status[0])
        expectClaim(claims, ...status)
      },
      claims: {
        binding: { form: 'whole', values: [claimHex(claims, reportData)] },
        measurements: new Map(
          measurements.map(([name, claim]) => [name, toHex(claimHex(claims, claim))]),
        ),
        settings: [`issuer ${claimText(claims, 'iss')}`, `hwmodel ${kind}`],
      },
    }
  },
}
