/** Where vendors publish what their evidence is judged with (spec/attestation.md AT17). Never an address out of evidence. */
import type { Platform, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { parseAzureEvidence } from '@countersign/protocol/attestation/azure/azure-evidence'
import { parseChain } from '@countersign/protocol/attestation/dcap/collateral'
import { readPckClaims } from '@countersign/protocol/attestation/dcap/pck'
import { parseQuote } from '@countersign/protocol/attestation/dcap/quote'
import { EvidenceError } from '@countersign/protocol/attestation/evidence-errors'
import {
  parseSnpReport,
  toTcbVersions,
  type SnpProduct,
  type SnpReport,
} from '@countersign/protocol/attestation/sev-snp/report'
import { commonNameOf } from '@countersign/protocol/attestation/x509/name'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import type { CollateralAnswer } from './collateral-answer.ts'
import {
  readKeySet,
  readList,
  readCertificate,
  readAmdChain,
  readIntelStatement,
} from './read-answers.ts'

/** One question, and how its answer becomes collateral by name. */
export type CollateralRequest = {
  readonly url: string
  readonly read: (answer: CollateralAnswer) => ReadonlyMap<string, Uint8Array>
}

const intel = 'https://api.trustedservices.intel.com'
const intelRoot = 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der'
const amd = 'https://kdsintf.amd.com'
const googleKeys =
  'https://www.googleapis.com/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com'
const nvidiaKeys = 'https://nras.attestation.nvidia.com/.well-known/jwks.json'
const processorAuthorities: ReadonlyMap<string, string> = new Map([
  ['Intel SGX PCK Platform CA', 'platform'],
  ['Intel SGX PCK Processor CA', 'processor'],
])
const componentQueries = [
  ['fmc', 'fmcSPL'],
  ['bootloader', 'blSPL'],
  ['tee', 'teeSPL'],
  ['snp', 'snpSPL'],
  ['microcode', 'ucodeSPL'],
] as const

/**
 * What to ask for, for evidence of a platform.
 *
 * @throws ClientError `collateral-unsupported` where no service has it, or the evidence does not say what to ask for.
 */
export function listCollateralRequests(
  platform: Platform,
  { raw }: PlatformEvidence,
): readonly CollateralRequest[] {
  try {
    switch (platform) {
      case 'intel-tdx':
        return listIntelRequests('tdx', raw)
      case 'intel-tdx-azure':
        return listIntelRequests('tdx', parseAzureEvidence(raw).report)
      case 'intel-sgx':
        return listIntelRequests('sgx', raw)
      case 'amd-sev-snp':
        return listAmdRequests(parseSnpReport(raw))
      case 'amd-sev-snp-azure':
        return listAmdRequests(parseSnpReport(parseAzureEvidence(raw).report))
      case 'google-confidential-space':
        return [{ url: googleKeys, read: readKeySet }]
      case 'nvidia-remote-attestation':
        return [{ url: nvidiaKeys, read: readKeySet }]
      case 'aws-nitro':
      case 'aws-nitrotpm':
      case 'azure-attestation':
      case 'nvidia-gpu':
      case 'tpm':
        throw new ClientError('collateral-unsupported', { detail: platform })
    }
  } catch (cause) {
    if (!(cause instanceof EvidenceError)) throw cause
    throw new ClientError('collateral-unsupported', { detail: cause.code, cause })
  }
}

function listIntelRequests(kind: 'sgx' | 'tdx', raw: Uint8Array): readonly CollateralRequest[] {
  const [, authority, processor] = parseChain(parseQuote(raw).pckChain)
  if (authority === undefined || processor === undefined) throw new EvidenceError('chain-length')
  const { fmspc } = readPckClaims(processor)
  const ca = processorAuthorities.get(String(commonNameOf(authority.subject)))
  if (ca === undefined) throw new EvidenceError('chain-issuer-mismatch')
  const services = `${intel}/${kind}/certification/v4`
  const list = `${intel}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`
  return [
    { url: `${services}/tcb?fmspc=${fmspc}`, read: readIntelStatement('tcb-info') },
    { url: `${services}/qe/identity`, read: readIntelStatement('qe-identity') },
    { url: list, read: readList('pck-crl') },
    { url: intelRoot, read: readList('root-crl') },
  ]
}

function listAmdRequests(report: SnpReport): readonly CollateralRequest[] {
  const { product, signingKey } = report
  if (product === undefined) throw new EvidenceError('snp-product-unknown')
  const services = `${amd}/${signingKey}/v1/${product}`
  const shared = [
    { url: `${services}/cert_chain`, read: readAmdChain },
    { url: `${services}/crl`, read: readList('crl') },
  ]
  // A VLEK is the provider's: the machine has its certificate, and no service gives it.
  if (signingKey === 'vlek') return shared
  return [
    { url: `${services}/${vcekPath(report, product)}`, read: readCertificate('vek') },
    ...shared,
  ]
}

function vcekPath({ chipId, reportedTcb }: SnpReport, product: SnpProduct): string {
  // A chip that hides its name has no address.
  if (chipId.every((byte) => byte === 0)) throw new EvidenceError('snp-chip-mismatch')
  const versions = toTcbVersions(reportedTcb, product)
  const query = componentQueries.flatMap(([component, name]) => {
    const version = versions.get(component)
    return version === undefined ? [] : [`${name}=${version}`]
  })
  return `${toHex(product === 'Turin' ? chipId.subarray(0, 8) : chipId)}?${query.join('&')}`
}
