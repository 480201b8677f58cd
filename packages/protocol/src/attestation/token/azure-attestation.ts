/** Tokens of Microsoft Azure Attestation for confidential machines (spec/attestation.md AT11.3): Microsoft's word. */
import { toHex } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import type { JsonMap } from '../../bytes/json-decode.ts'
import { checkAttributes, domainRegisters, settingsOfAttributes } from '../dcap/report-body.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimBoolean, claimHex, claimInteger, claimText, expectClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'

type HardwareNames = {
  readonly reportData: string
  readonly isDebuggable: string
  readonly measurements: readonly (readonly [name: string, claim: string])[]
  /** What a report of this hardware would be judged by, too, and what Azure itself found. */
  readonly readSettings: (claims: JsonMap) => HardwareSettings
}

type HardwareSettings = readonly [check: () => void, settings: readonly string[]]

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
      readSettings(claims) {
        const vmpl = claimInteger(claims, 'x-ms-sevsnpvm-vmpl')
        const check = (): void => {
          expectClaim(
            claims,
            'x-ms-compliance-status',
            'azure-compliant-cvm',
            'azure-compliant-uvm',
          )
          refuseUnless(
            !claimBoolean(claims, 'x-ms-sevsnpvm-migration-allowed'),
            'migration-enabled',
          )
        }
        return [check, vmpl === 0 ? [] : [`vmpl-${vmpl}`]]
      },
    },
  ],
  [
    'tdxvm',
    {
      reportData: 'tdx_report_data',
      isDebuggable: 'tdx_td_attributes_debug',
      measurements: domainRegisters.map((name) => [name, `tdx_${name}`]),
      readSettings(claims) {
        // The lowest byte first.
        const bytes = claimHex(claims, 'tdx_td_attributes').toReversed()
        const attributes = BigInt(`0x${toHex(bytes)}`)
        const check = (): void => {
          expectClaim(claims, 'attester_tcb_status', 'UpToDate')
          checkAttributes(attributes)
        }
        return [check, settingsOfAttributes(attributes)]
      },
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
    const { reportData, isDebuggable, measurements, readSettings } =
      hardware.get(kind) ?? refuse('token-claim-refused', 'x-ms-attestation-type')
    const [checkConfiguration, settings] = readSettings(claims)
    return {
      tokens: [token],
      isDebug: claimBoolean(claims, isDebuggable),
      checkConfiguration,
      claims: {
        binding: { form: 'whole', values: [claimHex(claims, reportData)] },
        measurements: new Map(
          measurements.map(([name, claim]) => [name, toHex(claimHex(claims, claim))]),
        ),
        settings: [`issuer ${claimText(claims, 'iss')}`, `hwmodel ${kind}`, ...settings],
      },
    }
  },
}
