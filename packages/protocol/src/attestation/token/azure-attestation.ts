/** Tokens of Microsoft Azure Attestation for confidential machines (spec/attestation.md AT11.3): Microsoft's word. */
import { toHex } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import type { JsonMap } from '../../bytes/json-decode.ts'
import { checkAttributes, settingsOfAttributes } from '../dcap/report-body.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimBoolean, claimHex, claimInteger, claimText, expectClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'

type HardwareNames = {
  readonly reportData: string
  readonly isDebuggable: string
  readonly measurements: readonly (readonly [name: string, claim: string])[]
  /** Without this a machine that Azure itself found wanting would pass. */
  readonly status: readonly [claim: string, ...accepted: string[]]
  /** What a report of this hardware would be judged by, too. */
  readonly readSettings: (claims: JsonMap) => HardwareSettings
}

type HardwareSettings = { readonly check: () => void; readonly settings: readonly string[] }

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
      readSettings(claims) {
        const isMovable = claimBoolean(claims, 'x-ms-sevsnpvm-migration-allowed')
        const vmpl = claimInteger(claims, 'x-ms-sevsnpvm-vmpl')
        return {
          check: () => refuseUnless(!isMovable, 'migration-enabled'),
          settings: vmpl === 0 ? [] : [`vmpl-${vmpl}`],
        }
      },
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
      readSettings(claims) {
        const bytes = claimHex(claims, 'tdx_td_attributes')
        refuseUnless(bytes.length === 8, 'token-claim-missing', 'tdx_td_attributes')
        const attributes = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
        return {
          check: () => checkAttributes(attributes),
          settings: settingsOfAttributes(attributes),
        }
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
    const { reportData, isDebuggable, measurements, status, readSettings } =
      hardware.get(kind) ?? refuse('token-claim-refused', 'x-ms-attestation-type')
    const { check, settings } = readSettings(claims)
    return {
      tokens: [token],
      isDebug: claimBoolean(claims, isDebuggable),
      checkConfiguration() {
        // Of SEV-SNP it is always there.
        if (kind === 'sevsnpvm') claimText(claims, status[0])
        expectClaim(claims, ...status)
        check()
      },
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
