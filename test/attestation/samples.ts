/** Evidence of real hardware (fixtures/PROVENANCE.md), with what each sample says. */
import { readFileSync } from 'node:fs'
import type { Platform, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { parsePemCertificates } from '@countersign/protocol/attestation/x509/pem'

/** A sample and when it is judged. */
export type Sample = {
  readonly name: string
  readonly platform: Platform
  readonly evidence: PlatformEvidence
  readonly asOfMs: number
}

/** Bytes of a file among the samples. */
function readSample(path: string): Uint8Array {
  return Uint8Array.from(readFileSync(new URL(`fixtures/${path}`, import.meta.url)))
}

/** A TDX quote of version 4 with all of its collateral, of 20 June 2025. */
export function tdxSample(): Sample {
  return dcapSample('tdx', 'intel-tdx')
}

/** An SGX quote of version 3 with all of its collateral, of 20 June 2025. */
export function sgxSample(): Sample {
  return dcapSample('sgx', 'intel-sgx')
}

/** Reports of Milan and Genoa of version 3, and of a Milan of version 2 in debug mode. No revocation list is among them. */
export function snpSamples(): readonly Sample[] {
  return [
    snpSample('ms-milan', 'milan', pemOf('sev-snp/ms-milan-vcek.pem')),
    snpSample('ms-genoa', 'genoa', pemOf('sev-snp/ms-genoa-vcek.pem')),
    snpSample('gosev', 'milan', readSample('sev-snp/gosev-vcek.der')),
  ]
}

/** Documents of Nitro Enclaves, the second one of an enclave in debug mode. No revocation list is among them. */
export function nitroSamples(): readonly Sample[] {
  const encoded = new TextDecoder().decode(readSample('nitro/og-evm-2026-02-12.b64'))
  const rows: readonly (readonly [string, Uint8Array, number])[] = [
    ['evervault', readSample('nitro/evervault-valid.bin'), 1_665_651_482_136],
    ['evervault-debug', readSample('nitro/evervault-debug.bin'), 1_665_582_606_081],
    ['og-evm', Uint8Array.from(Buffer.from(encoded, 'base64')), 1_770_918_962_724],
    // Four bytes of a container stand before the document, an event log behind it.
    ['dstack', readSample('nitro/dstack-attest-nitro.bin').slice(4, 4530), 1_766_678_659_346],
  ]
  return rows.map(([name, raw, asOfMs]) => ({
    name,
    platform: 'aws-nitro',
    evidence: { raw, collateral: new Map() },
    asOfMs,
  }))
}

/** The report of an H100, with its chain and without revocation lists. */
export function gpuSample(): Sample {
  const hex = new TextDecoder().decode(readSample('nvidia/hopperAttestationReport.txt')).trim()
  return {
    name: 'hopper',
    platform: 'nvidia-gpu',
    evidence: {
      raw: Uint8Array.from(Buffer.from(hex, 'hex')),
      collateral: new Map([['certificates', readSample('nvidia/hopperCertChain.txt')]]),
    },
    asOfMs: Date.UTC(2024, 0, 1),
  }
}

function snpSample(name: string, product: string, vek: Uint8Array): Sample {
  const file = name === 'gosev' ? 'gosev-attestation.bin' : `${name}-report.bin`
  const collateral = new Map([
    ['ark', readSample(`sev-snp/amd-${product}-ark.der`)],
    ['ask', readSample(`sev-snp/amd-${product}-ask.der`)],
    ['vek', vek],
  ])
  return {
    name,
    platform: 'amd-sev-snp',
    evidence: { raw: readSample(`sev-snp/${file}`), collateral },
    asOfMs: Date.parse('2026-03-01T00:00:00Z'),
  }
}

function dcapSample(kind: 'tdx' | 'sgx', platform: Platform): Sample {
  const text = new TextDecoder().decode(readSample(`tdx-sgx/${kind}_quote_collateral.txt`))
  const json: Record<string, string> = JSON.parse(text)
  const utf8 = (name: string): Uint8Array => new TextEncoder().encode(json[name])
  const hex = (name: string): Uint8Array => Uint8Array.from(Buffer.from(json[name] ?? '', 'hex'))
  const collateral = new Map([
    ['tcb-info', utf8('tcb_info')],
    ['tcb-info-signature', hex('tcb_info_signature')],
    ['tcb-info-chain', utf8('tcb_info_issuer_chain')],
    ['qe-identity', utf8('qe_identity')],
    ['qe-identity-signature', hex('qe_identity_signature')],
    ['qe-identity-chain', utf8('qe_identity_issuer_chain')],
    ['root-crl', hex('root_ca_crl')],
    ['pck-crl', hex('pck_crl')],
  ])
  return {
    name: kind,
    platform,
    evidence: { raw: readSample(`tdx-sgx/${kind}_quote`), collateral },
    asOfMs: Date.parse('2025-06-20T00:00:00Z'),
  }
}

function pemOf(path: string): Uint8Array {
  const [certificate] = parsePemCertificates(readSample(path))
  if (certificate === undefined) throw new Error(`${path} holds no certificate`)
  return certificate
}
