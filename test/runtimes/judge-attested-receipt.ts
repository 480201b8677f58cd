/** What a stranger does with a receipt whose keys hardware attested: one call, two policies. */
import { createEvidenceVerifier } from '@countersign/protocol/attestation/verify-evidence'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { defaultPolicy, verify, type Verdict } from '@countersign/protocol'

/** What was found, as JSON has it. */
export type AttestedReceiptReport = Omit<Verdict, 'evidence'> & {
  readonly evidence: Pick<NonNullable<Verdict['evidence']>, 'verdict' | 'tier' | 'checks'>
}

/** `bundle` in base64url; `policy` is an evidence policy; `nowMs` a decimal number. All texts: a page gets no others. */
export async function judgeAttestedReceipt(
  bundle: string,
  policy: string,
  nowMs: string,
): Promise<AttestedReceiptReport> {
  const bytes = fromBase64url(bundle) ?? new Uint8Array(0)
  const judgeEvidence = createEvidenceVerifier(encodeUtf8(policy))
  const found = await verify(bytes, defaultPolicy, Number(nowMs), {}, judgeEvidence)
  if (found.evidence === undefined) throw new Error('no evidence of hardware')
  const { verdict, tier, checks } = found.evidence
  return { ...found, evidence: { verdict, tier, checks } }
}
