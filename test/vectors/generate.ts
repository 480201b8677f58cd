/** Generates the files of `vectors/` (see vectors/README.md). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { formatCases } from './format-cases.ts'
import { judgeCase, type BundleCase } from './bundle-case.ts'
import { answerCases } from './cases/answers.ts'
import { billCases } from './cases/bills.ts'
import { bundleFormCases } from './cases/bundle-form.ts'
import { cborCases } from './cases/cbor.ts'
import { claimCases } from './cases/claims.ts'
import { chargeCases } from './cases/charge.ts'
import { evidenceCases } from './cases/evidence.ts'
import { evidenceSetCases } from './cases/evidence-sets.ts'
import { goodCases } from './cases/good.ts'
import { heldCases } from './cases/held.ts'
import { keysetCases } from './cases/keyset.ts'
import { modelCases } from './cases/model.ts'
import { operatorTermsCases } from './cases/operator-terms.ts'
import { policyCases } from './cases/policy.ts'
import { sealedCases } from './cases/sealed.ts'
import { termsCases } from './cases/terms.ts'
import { signedPolicyCases } from './cases/signed-policy.ts'
import { statementCases } from './cases/statement.ts'

/**
 * The text of each generated file by its path from the root of the repository. The same every time.
 *
 * @throws Error listing every case whose verdict is not the one that its author named.
 */
export async function generateVectors(): Promise<ReadonlyMap<string, string>> {
  const cases: readonly BundleCase[] = [
    ...goodCases(),
    ...bundleFormCases(),
    ...policyCases(),
    ...termsCases(),
    ...statementCases(),
    ...keysetCases(),
    ...evidenceCases(),
    ...claimCases(),
    ...chargeCases(),
    ...modelCases(),
    ...heldCases(),
  ]
  const judged = await Promise.allSettled(cases.map((bundleCase) => judgeCase(bundleCase)))
  const bundles = judged.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const faults = [
    ...judged.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : [])),
    ...repeatedNames(cases).map((name) => `two vectors are named "${name}"`),
  ]
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return new Map([
    ['vectors/attestations.json', formatCases(await answerCases())],
    ['vectors/bills.json', formatCases(billCases())],
    ['vectors/evidence-sets.json', formatCases(await evidenceSetCases())],
    ['vectors/sealed.json', formatCases(await sealedCases())],
    ['vectors/cbor.json', formatCases(cborCases())],
    ['vectors/bundles.json', formatCases(bundles)],
    ['vectors/operator-terms.json', formatCases(operatorTermsCases())],
    [
      'vectors/signed-policies.json',
      formatCases(signedPolicyCases((bytes) => toHex(sha256(bytes)))),
    ],
  ])
}

function repeatedNames(cases: readonly BundleCase[]): readonly string[] {
  const names = cases.map(({ name }) => name)
  return names.filter((name, index) => names.indexOf(name) !== index)
}
