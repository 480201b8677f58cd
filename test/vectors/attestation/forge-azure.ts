/** Evidence of Azure confidential machines under synthetic roots: right by default, wrong in one place by an edit. */
import { createHash } from 'node:crypto'
import { concatBytes, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborKey, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import type { TpmEvidenceParts } from '@countersign/protocol/attestation/tpm/tpm-evidence'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { forgeDcap, type DcapEdits, type TestEvidence } from './dcap-evidence.ts'
import { forgeTpmCollateral, forgeTpmEvidence, sized, u16, u32, type TpmEdit } from './forge-tpm.ts'
import { seededRsaKey } from './rsa-key.ts'
import { forgeSnp, type SnpEdits } from './snp-evidence.ts'

/** What is changed, from the inside out. */
export type AzureEdit = {
  readonly snp?: SnpEdits
  readonly dcap?: DcapEdits
  /** The paravisor's statement before the hardware's report data is made of it. */
  readonly runtime?: (json: Record<string, unknown>) => unknown
  readonly runtimeText?: (text: string) => string
  /** Report data, when it is not the hash of the statement. */
  readonly reportData?: Uint8Array
  readonly attributes?: number
  readonly quote?: TpmEdit
  readonly members?: (members: readonly (readonly [CborKey, CborValue])[]) => typeof members
  readonly log?: Uint8Array
}

/** The attestation key of the paravisor's TPM. */
export const azureAk = seededRsaKey('Azure test AK', [504n, 1510n])

/** Evidence on SEV-SNP (Milan). */
export function forgeAzureSnp(edit: AzureEdit = {}): TestEvidence {
  const runtime = forgeRuntime(edit)
  const { raw, collateral } = forgeSnp({
    ...edit.snp,
    report: (report) => {
      report.set(edit.reportData ?? hashOf(runtime), 0x50)
      edit.snp?.report?.(report)
    },
  })
  return assemble(raw, collateral, runtime, edit)
}

/** Evidence on TDX. */
export function forgeAzureTdx(edit: AzureEdit = {}): TestEvidence {
  const runtime = forgeRuntime(edit)
  const { raw, collateral } = forgeDcap('tdx', {
    ...edit.dcap,
    body: (body) => {
      body.set(edit.reportData ?? hashOf(runtime), 520)
      edit.dcap?.body?.(body)
    },
  })
  return assemble(raw, collateral, runtime, edit)
}

/** TPMT_PUBLIC of that key. */
export function azureAkPublic(attributes = 0x00050072): Uint8Array {
  const head = [u16(1), u16(0x0b), u32(attributes), sized(new Uint8Array(0))]
  const scheme = [u16(0x10), u16(0x14), u16(0x0b)]
  return concatBytes(...head, ...scheme, u16(2048), u32(0), sized(azureAk.modulus))
}

function assemble(
  report: Uint8Array,
  collateral: ReadonlyMap<string, Uint8Array>,
  runtime: Uint8Array,
  edit: AzureEdit,
): TestEvidence {
  const sign = ({ attest }: TpmEvidenceParts): Partial<TpmEvidenceParts> => ({
    akPublic: azureAkPublic(edit.attributes),
    signature: concatBytes(u16(0x14), u16(0x0b), sized(azureAk.sign(attest))),
  })
  const quote = forgeTpmEvidence({ parts: sign, ...edit.quote })
  const members: readonly (readonly [CborKey, CborValue])[] = [
    [1, 1],
    [2, report],
    [3, runtime],
    [4, quote],
  ]
  const logs = forgeTpmCollateral({
    'tpm-enrolment': undefined,
    ...(edit.log === undefined ? {} : { 'tpm-measured-log': edit.log }),
  })
  return {
    raw: encodeCbor(new Map(edit.members?.(members) ?? members)),
    collateral: new Map([...collateral, ...logs]),
  }
}

function toJwk(kid: string, use: string, modulus: Uint8Array): Record<string, unknown> {
  return { kid, key_ops: [use], kty: 'RSA', e: 'AQAB', n: toBase64url(modulus) }
}

/** As Azure documents it, but for its values. */
function forgeRuntime(edit: AzureEdit): Uint8Array {
  const json = {
    keys: [
      toJwk('HCLAkPub', 'sign', azureAk.modulus),
      toJwk('HCLEkPub', 'encrypt', azureAk.modulus.toReversed()),
    ],
    'vm-configuration': {
      'root-cert-thumbprint': '',
      'console-enabled': false,
      'secure-boot': true,
      'tpm-enabled': true,
      'tpm-persisted': true,
      vmUniqueId: '68dc0ac0-2ed9-4b2a-a03e-4953e416d939',
    },
    'user-data': '00'.repeat(64),
  }
  const text = JSON.stringify(edit.runtime?.(json) ?? json)
  return encodeUtf8(edit.runtimeText?.(text) ?? text)
}

function hashOf(runtime: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(runtime).digest()
  return concatBytes(Uint8Array.from(digest), new Uint8Array(32))
}
