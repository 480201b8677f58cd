/** What a stranger does with a receipt whose keys a TPM attested: the receipt, the evidence, and how they hang together. */
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { parsePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { verifyEvidence } from '@countersign/protocol/attestation/verify-evidence'
import { encodeUtf8, equalBytes } from '@countersign/protocol/bytes/byte-string'
import { fromBase64url, fromHex } from '@countersign/protocol/bytes/text-encoding'
import { defaultPolicy, parseBundle, verify, type Verdict } from '@countersign/protocol'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'

/** What was found. */
export interface AttestedReceiptReport {
  readonly receipt: Pick<Verdict, 'verdict' | 'level' | 'checks'>
  readonly evidence: Pick<EvidenceVerdict, 'verdict' | 'tier' | 'checks'>
  /** Whether the TPM measured the build and the configuration that the keyset names. */
  readonly isMeasured: boolean
}

/** `bundle` in base64url; `policy` is an evidence policy; `nowMs` a decimal number. All texts: a page gets no others. */
export async function judgeAttestedReceipt(
  bundle: string,
  policy: string,
  nowMs: string,
): Promise<AttestedReceiptReport> {
  const bytes = fromBase64url(bundle) ?? new Uint8Array(0)
  const receipt = await verify(bytes, defaultPolicy, Number(nowMs))
  const { evidence, keyset } = parseBundle(bytes)
  const { payload } = parseStatement(keyset)
  const [first] = evidence
  if (first?.kind !== 'tpm' || payload.type !== 'keyset') throw new Error('no evidence of a TPM')
  const parsedPolicy = parseEvidencePolicy(encodeUtf8(policy))
  const verdict = await verifyEvidence('tpm', parsePlatformEvidence(first.data), parsedPolicy, {
    asOfMs: payload.timeMs,
    knownSinceMs: payload.timeMs,
    reportData: createReportData(payload.keysetDigest, first.nonce),
  })
  const { buildDigest, configDigest } = parseKeyset(payload.document)
  const measured = (name: string): Uint8Array =>
    fromHex(verdict.claims?.measurements.get(name) ?? '') ?? new Uint8Array(0)
  return {
    receipt: { verdict: receipt.verdict, level: receipt.level, checks: receipt.checks },
    evidence: { verdict: verdict.verdict, tier: verdict.tier, checks: verdict.checks },
    isMeasured:
      equalBytes(measured('countersign/build'), buildDigest) &&
      equalBytes(measured('countersign/configuration'), configDigest),
  }
}
