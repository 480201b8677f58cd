/** What an operator sends for a charge key, after a look at what the registry would refuse. */
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import { planKeyRegistration, type ContractCall } from '@countersign/contracts/register-key'
import type { ScheduledKey } from '@countersign/contracts/scheduled-keys'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { encodeFunctionData } from 'viem'
import { ClientError } from '../errors.ts'
import { readKeyRecord, readRegistryKeys, type OperatorRegistry } from './operator-registry.ts'

/** A transaction, and who may send it. */
export type PlannedCall = {
  readonly call: ContractCall
  /** Lower case; `undefined`: anybody. */
  readonly senders: readonly Hex[] | undefined
}

/** When a key is to count. Unix seconds. */
export type KeyInterval = {
  readonly validFromSeconds: number
  readonly validUntilSeconds: number
}

/** Longest life of a key (CO3.1). */
export const maxLifeSeconds = 86_400

/**
 * Announces a key in the timelock.
 *
 * @throws ClientError `charge-key-refused` when it was registered or announced before, or the delay is not that of the
 * terms; `chain-unreachable`.
 */
export async function planSchedule(
  registry: OperatorRegistry,
  key: Hex,
  interval: KeyInterval,
  keysetDigest: Hex,
): Promise<PlannedCall> {
  const { terms, timelock } = registry
  const { gatewayId, minDelaySeconds } = terms
  const { live } = await checkNew(registry, key)
  if (live.minDelaySeconds !== minDelaySeconds) {
    throw refused(`the timelock waits ${live.minDelaySeconds} s, the terms say ${minDelaySeconds}`)
  }
  const contracts = { timelock, registry: terms.registry }
  const registration = { gatewayId, key, keysetDigest, ...interval }
  const { announce } = planKeyRegistration(contracts, minDelaySeconds, registration)
  return { call: announce, senders: live.proposers.map(lower) }
}

/**
 * Registers a key whose delay is over.
 *
 * @throws ClientError `charge-key-refused` when it is not announced, or not due; `chain-unreachable`.
 */
export async function planExecute(
  registry: OperatorRegistry,
  key: Hex,
  nowMs: number,
): Promise<PlannedCall> {
  const { terms, timelock } = registry
  const { scheduled, blockSeconds } = await readRegistryKeys(registry, 0)
  const [first, ...more] = scheduled.filter((each) => lower(each.key) === key)
  if (first === undefined) {
    await refuseRegistered(registry, key)
    throw refused(`${key} is not announced`)
  }
  // Only the first that is executed can register it; which one that is to be is no guess of ours.
  if (more.length > 0) throw refused(`${key} is announced ${more.length + 1} times`)
  // The next block has the time of now, also where the latest one is old.
  checkDue(first, Math.max(blockSeconds, Math.floor(nowMs / 1000)))
  const contracts = { timelock, registry: terms.registry }
  const { register } = planKeyRegistration(contracts, terms.minDelaySeconds, first)
  return { call: register, senders: undefined }
}

/**
 * Takes back the trust in a key, from a moment on.
 *
 * @throws ClientError `charge-key-refused` when it is not registered, or revoked from that moment or an earlier one;
 * `chain-unreachable`.
 */
export async function planRevoke(
  registry: OperatorRegistry,
  key: Hex,
  sinceSeconds: number,
): Promise<PlannedCall> {
  const { gatewayId, registry: to } = registry.terms
  const record = await readKeyRecord(registry, key)
  if (record.validUntilSeconds === 0) throw refused(`${key} is not registered`)
  const { revokedAtSeconds } = record
  if (revokedAtSeconds !== 0 && sinceSeconds >= revokedAtSeconds) {
    throw refused(`${key} is revoked from ${toUtc(revokedAtSeconds)} on`)
  }
  const { live } = await readRegistryKeys(registry, 0)
  const data = encodeFunctionData({
    abi: keyRegistryAbi,
    functionName: 'revokeKey',
    args: [gatewayId, key, sinceSeconds],
  })
  return { call: { to, data }, senders: [lower(live.guardian)] }
}

/** As the command line writes times. */
export function toUtc(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

async function checkNew(registry: OperatorRegistry, key: Hex): ReturnType<typeof readRegistryKeys> {
  await refuseRegistered(registry, key)
  const known = await readRegistryKeys(registry, 0)
  const before = known.scheduled.find((each) => lower(each.key) === key)
  if (before === undefined) return known
  throw refused(`${key} is announced already, due ${toUtc(before.readyAtSeconds)}`)
}

async function refuseRegistered(registry: OperatorRegistry, key: Hex): Promise<void> {
  const { validUntilSeconds } = await readKeyRecord(registry, key)
  if (validUntilSeconds === 0) return
  // Also after a revocation: a record is made once (CO3.1).
  throw refused(`${key} is registered already, until ${toUtc(validUntilSeconds)}`)
}

function checkDue({ key, readyAtSeconds, validUntilSeconds }: ScheduledKey, now: number): void {
  if (now < readyAtSeconds)
    throw refused(`${lower(key)} is not due before ${toUtc(readyAtSeconds)}`)
  if (now >= validUntilSeconds) throw refused(`${lower(key)} ended ${toUtc(validUntilSeconds)}`)
}

function refused(detail: string): ClientError {
  return new ClientError('charge-key-refused', { detail })
}

function lower(address: Hex): Hex {
  return `0x${address.slice(2).toLowerCase()}`
}
