/** What a payer asks of the terms that a gateway announces (spec/contracts.md CO7.5). */
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import type { OperatorTerms } from '@countersign/protocol/payment/operator-terms'
import { ClientError } from '../errors.ts'

/** A list that is absent allows everybody; one that is there allows just these, and an empty one nobody. */
export type OperatorPolicy = {
  /** The shortest time for which every key is public before it counts. */
  readonly minDelaySeconds: number
  /** Registries; each stands for its proposers, guardian and delay. */
  readonly registries?: readonly Hex[]
  readonly payeeOwners?: readonly Hex[]
  readonly guardians?: readonly Hex[]
  /** All who may announce keys are among these. */
  readonly proposers?: readonly Hex[]
  /** Then a channel may be slower than the timelock. Needs `registries` or `proposers`. */
  readonly trustsProposers?: boolean
}

const lists = ['registries', 'payeeOwners', 'guardians', 'proposers'] as const

/**
 * A policy with addresses in lower case.
 *
 * @throws ClientError `options-invalid` for one that would trust whoever announces something.
 */
export function checkOperatorPolicy(policy: OperatorPolicy): OperatorPolicy {
  const { minDelaySeconds, trustsProposers = false, registries, proposers } = policy
  if (!Number.isSafeInteger(minDelaySeconds) || minDelaySeconds < 0) {
    throw invalid('minDelaySeconds is not a whole number of 0 or more')
  }
  const isNamed = registries !== undefined || proposers !== undefined
  if (trustsProposers && !isNamed) throw invalid('trustsProposers needs registries or proposers')
  if (minDelaySeconds === 0 && !trustsProposers) throw invalid('minDelaySeconds 0 trusts proposers')
  const lowered = lists.flatMap((name) => {
    const list = policy[name]
    return list === undefined ? [] : [[name, list.map(toAddress)] as const]
  })
  return { minDelaySeconds, trustsProposers, ...Object.fromEntries(lowered) }
}

/** @throws ClientError `terms-refused` for the first thing that the policy does not take. */
export function judgeTerms(terms: OperatorTerms, policy: OperatorPolicy): void {
  const { minDelaySeconds, registry, payeeOwner, guardian, proposers } = terms
  if (minDelaySeconds < policy.minDelaySeconds) {
    throw refused(`the timelock takes ${minDelaySeconds} s, not ${policy.minDelaySeconds}`)
  }
  allow('registry', [registry], policy.registries)
  allow('payeeOwner', [payeeOwner], policy.payeeOwners)
  allow('guardian', [guardian], policy.guardians)
  allow('proposer', proposers, policy.proposers)
}

function allow(name: string, given: readonly Hex[], allowed: readonly Hex[] | undefined): void {
  const foreign = given.find((each) => allowed?.includes(each) === false)
  if (foreign !== undefined) throw refused(`${name} ${foreign}`)
}

function toAddress(text: string): Hex {
  const address = parseAddress(text)
  if (address === undefined) throw invalid(`${text} is no address`)
  return address
}

function refused(detail: string): ClientError {
  return new ClientError('terms-refused', { detail })
}

function invalid(detail: string): ClientError {
  return new ClientError('options-invalid', { detail: `policy of operators: ${detail}` })
}
