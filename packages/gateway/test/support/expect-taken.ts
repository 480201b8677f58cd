/** What a verifier of the protocol says of evidence that an emulator made. */
import { expect } from 'vitest'
import type { Appraiser, PlatformEvidence } from '@countersign/protocol/attestation/appraisal'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'

/** The evidence holds under the test root, says this, and falls with the vendor's roots alone. */
export async function expectTaken(
  appraise: Appraiser,
  evidence: PlatformEvidence,
  asOfMs: number,
  root: string,
  bound: Uint8Array,
): Promise<void> {
  const { checks, claims, platform } = await appraise(evidence, { asOfMs, roots: new Set([root]) })
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(checks.find(({ id }) => id === 'signature')?.status).toBe('passed')
  expect(claims?.binding.values).toContainEqual(Uint8Array.from(bound))
  const roots = vendorRoots.get(platform) ?? []
  const produced = await appraise(evidence, { asOfMs, roots: new Set(roots) })
  const refusal = produced.checks.find(({ id }) => id === 'root')
  expect(refusal).toMatchObject({ status: 'failed', code: 'chain-root-untrusted' })
}
