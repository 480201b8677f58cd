/** What Azure's metadata service gives to a confidential machine: certificates of its chip, or a quote of its report. */
import { parsePemCertificates } from '@countersign/protocol/attestation/x509/pem'
import { decodeJson } from '@countersign/protocol/bytes/json-decode'
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { AttestationError } from '../attestation-error.ts'
import { getHttp, readHttp } from '../read-http.ts'
import { asMalformed } from '../tpm/tpm-command.ts'

/** The service, on an address that only the machine itself reaches. */
export type AzureMetadata = {
  /** `vek`, `ask` and `ark` as collateral. @throws AttestationError */
  readCertificates(): Promise<ReadonlyMap<string, Uint8Array>>
  /** A quote of a TDREPORT. @throws AttestationError */
  quoteReport(report: Uint8Array): Promise<Uint8Array>
}

const maxBytes = 262_144

/** The service behind a base URL. */
export function openAzureMetadata(baseUrl: string, timeoutMs: number): AzureMetadata {
  const limits = { maxBytes, timeoutMs }
  return {
    readCertificates: async () => {
      const url = `${baseUrl}/metadata/THIM/amd/certification`
      const { body } = await getHttp(url, { metadata: 'true' }, limits)
      const vek = readText(body, 'vcekCert')
      const chain = readText(body, 'certificateChain')
      return asMalformed('certificates of the metadata service', () => toCollateral(vek, chain))
    },
    quoteReport: async (report) => {
      const target = { kind: 'url', url: `${baseUrl}/acc/tdquote` } as const
      const asked = JSON.stringify({ report: toBase64url(report) })
      const { body } = await readHttp(target, asked, 'application/json', limits)
      // Padded or not: the service is not documented to be either.
      const quote = fromBase64url(readText(body, 'quote').replace(/={0,2}$/, ''))
      if (quote === undefined || quote.length === 0) throw malformed('quote')
      return quote
    },
  }
}

/** The certificate of the chip, and its authorities with the intermediate one first. */
function toCollateral(vek: string, chain: string): ReadonlyMap<string, Uint8Array> {
  const [chip, ...others] = parsePemCertificates(Buffer.from(vek))
  const [ask, ark, ...more] = parsePemCertificates(Buffer.from(chain))
  const isWhole = chip !== undefined && ask !== undefined && ark !== undefined
  if (!isWhole || others.length + more.length > 0) throw malformed('certificates')
  return new Map([
    ['vek', chip],
    ['ask', ask],
    ['ark', ark],
  ])
}

function readText(body: Uint8Array, name: string): string {
  const answer = decodeJson(body)
  const value: unknown = answer instanceof Map ? answer.get(name) : undefined
  if (typeof value !== 'string') throw malformed(name)
  return value
}

function malformed(part: string): AttestationError {
  return new AttestationError('attester-malformed', `${part} of the metadata service`)
}
