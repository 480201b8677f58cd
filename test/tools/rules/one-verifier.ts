/**
 * One verifier: a second place that judges signatures could drift from the first, and an attacker would look for
 * the difference. Only the files below may judge a signature over a statement; all others call `verify`.
 */
import type { Violation } from './import-graph.ts'
import type { ModuleFacts } from './module-facts.ts'

/** Where signatures are judged. */
const verifiers: readonly RegExp[] = [
  /^packages\/protocol\/src\/crypto\//,
  /^packages\/protocol\/src\/receipt\/cose\.ts$/,
  /^packages\/protocol\/src\/attestation\//,
  /^packages\/protocol\/src\/verify\//,
]

/** Functions of `protocol` that judge a signature: nobody else may even name them. */
const judges: ReadonlySet<string> = new Set([
  'judgeCoseSignature',
  'judgeEs256',
  'verifySignature',
  'verifySigned',
])

/** `crypto.subtle.verify`, `p256.verify`, `webcrypto.subtle.verify`… under whatever object they hang. */
const judgingMember = /(^|\.)(subtle|webcrypto|p256|p384|nist|ed25519)\.verify$/

/** Node's own signature checks; the whole module under one name would hide them, so it is refused too. */
const judgingImport = /^(node:)?crypto#(verify|createVerify|Verify|\*|default)$/

/** Mentions of a signature check outside the verifier. Tests may check what they like. */
export function judgeOneVerifier(modules: readonly ModuleFacts[]): readonly Violation[] {
  return modules
    .filter(({ path }) => isShipped(path) && !verifiers.some((verifier) => verifier.test(path)))
    .flatMap((module) =>
      mentions(module).map(({ name, line }) => ({
        path: module.path,
        line,
        message: `${name} judges a signature outside protocol/src/verify`,
      })),
    )
}

/** Mentions inside the verifier: were there none, the rule would be looking for names that no longer exist. */
export function countVerifierMentions(modules: readonly ModuleFacts[]): number {
  return modules
    .filter(({ path }) => verifiers.some((verifier) => verifier.test(path)))
    .reduce((sum, module) => sum + mentions(module).length, 0)
}

function mentions(module: ModuleFacts): ModuleFacts['names'] {
  return [
    ...module.names.filter(({ name }) => judges.has(name) || judgingMember.test(name)),
    ...module.importedNames.filter(({ name }) => judgingImport.test(name)),
  ]
}

function isShipped(path: string): boolean {
  return /^packages\/[^/]+\/src\//.test(path)
}
