/** Tokens of Microsoft Azure Attestation for confidential machines (spec/attestation.md AT11.3): Microsoft's word. */
import type { JsonMap } from '../../bytes/json-decode.ts'
import { fromHex, toHex } from '../../bytes/text-encoding.ts'
import type { Appraiser } from '../appraisal.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { appraiseTokens, type TokenService } from './appraise-token.ts'
import { claimBoolean, claimText, expectClaim } from './claim.ts'
import { parseWebToken } from './web-token.ts'

// Every customer can have an instance with rules of its own: a policy names the instance that it believes.
const issuer = /^https:\/\/[a-z0-9]{1,64}(?:\.[a-z0-9]{1,16})?\.attest\.azure\.net$/

/** By `x-ms-attestation-type`: where the claims of the hardware are. */
const hardware: ReadonlyMap<string, HardwareNames> = new Map([
  [
    'sevsnpvm',
    {
      reportData: 'x-ms-sevsnpvm-reportdata',
      isDebuggable: 'x-ms-sevsnpvm-is-debuggable',
      measurements: {
        launch: 'x-ms-sevsnpvm-launchmeasurement',
        'host-data': 'x-ms-sevsnpvm-hostdata',
      },
    },
  ],
  [
    'tdxvm',
    {
      reportData: 'tdx_report_data',
      isDebuggable: 'tdx_td_attributes_debug',
      measurements: {
        mrtd: 'tdx_mrtd',
        rtmr0: 'tdx_rtmr0',
        rtmr1: 'tdx_rtmr1',
        rtmr2: 'tdx_rtmr2',
        rtmr3: 'tdx_rtmr3',
      },
    },
  ],
])

type HardwareNames = {
  readonly reportData: string
  readonly isDebuggable: string
  readonly measurements: Readonly<Record<string, string>>
}

type Guest = {
  readonly claims: JsonMap
  readonly kind: string
  readonly issuer: string
  readonly reportData: Uint8Array
  readonly isDebuggable: boolean
  readonly measurements: ReadonlyMap<string, string>
}

/** Appraises a token about a report of SEV-SNP or TDX. Collateral: `key-set`. */
export const appraiseAzureAttestation: Appraiser = (evidence, options) =>
  appraiseTokens(service, evidence, options)

const service: TokenService<Guest> = {
  platform: 'azure-attestation',
  algorithm: 'RS256',
  isIssuer: (text) => issuer.test(text),
  parse(raw) {
    const token = parseWebToken(raw)
    return { tokens: [token], said: parseGuest(token.claims) }
  },
  checkDebug({ isDebuggable }) {
    if (isDebuggable) throw new EvidenceError('debug-enabled')
  },
  checkConfiguration({ claims, kind }) {
    // Without this a machine that Azure itself found wanting would pass.
    if (kind === 'sevsnpvm') checkCompliance(claims)
    else expectClaim(claims, ['attester_tcb_status'], 'UpToDate')
  },
  describe: ({ kind, issuer: instance, reportData, measurements }) => ({
    binding: { form: 'whole', values: [reportData] },
    measurements,
    settings: [`issuer ${instance}`, `hwmodel ${kind}`],
  }),
}

function parseGuest(claims: JsonMap): Guest {
  const kind = claimText(claims, ['x-ms-attestation-type'])
  const names = hardware.get(kind)
  if (names === undefined) throw new EvidenceError('token-claim-refused', 'x-ms-attestation-type')
  const measurements = Object.entries(names.measurements).map(
    ([name, claim]) => [name, toHex(hexClaim(claims, claim))] as const,
  )
  return {
    claims,
    kind,
    issuer: claimText(claims, ['iss']),
    reportData: hexClaim(claims, names.reportData),
    isDebuggable: claimBoolean(claims, [names.isDebuggable]),
    measurements: new Map(measurements),
  }
}

function checkCompliance(claims: JsonMap): void {
  const status = claimText(claims, ['x-ms-compliance-status'])
  if (status !== 'azure-compliant-cvm' && status !== 'azure-compliant-uvm') {
    throw new EvidenceError('token-claim-refused', 'x-ms-compliance-status')
  }
}

function hexClaim(claims: JsonMap, name: string): Uint8Array {
  const value = fromHex(claimText(claims, [name]))
  if (value === undefined) throw new EvidenceError('token-claim-missing', name)
  return value
}
