/**
 * What a key registry and its timelock say today. An address proves code and first arguments; registrar, owner,
 * guardian, delay and proposers can change afterwards, so a payer asks before each deposit (spec/contracts.md CO3.5).
 */

import type { PublicClient } from 'viem'
import { getAbiItem, keccak256, stringToHex } from 'viem/utils'
import { keyRegistryAbi } from './generated/key-registry.ts'
import { registryTimelockAbi } from './generated/registry-timelock.ts'
import { graceSeconds } from './key-standing.ts'
import { inWindows } from './log-windows.ts'

type Hex = `0x${string}`

/** A key whose signatures the authorizer or the settler accepts now, or will at `validFromSeconds`. */
export type LiveKey = {
  readonly key: Hex
  readonly validFromSeconds: number
  readonly validUntilSeconds: number
  /** SHA-256 of the keyset statement that names it. */
  readonly keysetDigest: Hex
}

/** The values of one block or a few: what changes between the reads has been announced in the timelock. */
export type LiveRegistry = {
  readonly owner: Hex
  readonly pendingOwner: Hex
  readonly registrar: Hex
  readonly guardian: Hex
  readonly minDelaySeconds: number
  /** Who may announce operations of the timelock. */
  readonly proposers: readonly Hex[]
  /** Who may appoint proposers without any delay: nobody but the timelock itself should. */
  readonly administrators: readonly Hex[]
  readonly keys: readonly LiveKey[]
}

/** What was announced, and the delay of the channel that a payer is about to fill. */
export type ExpectedRegistry = {
  readonly timelock: Hex
  readonly guardian: Hex
  readonly proposers: readonly Hex[]
  readonly minDelaySeconds: number
  readonly withdrawDelaySeconds: number
}

/** What differs; `delay-not-above-withdrawal`: the payer could not leave before a key counts that it refuses. */
export type RegistryFinding =
  | 'administrator-foreign'
  | 'delay-changed'
  | 'delay-not-above-withdrawal'
  | 'guardian-changed'
  | 'owner-changed'
  | 'proposer-foreign'
  | 'registrar-changed'

/** As much of viem's client as is used: that of any chain fits. */
export type RegistryReader = Pick<PublicClient, 'readContract' | 'getLogs' | 'getBlockNumber'>

const noRole: Hex = `0x${'0'.repeat(64)}`
const proposerRole = keccak256(stringToHex('PROPOSER_ROLE'))

/** What is not as it was announced; nothing means that a deposit is as safe as the announcement. Pure. */
export function judgeRegistry(
  live: LiveRegistry,
  expected: ExpectedRegistry,
): readonly RegistryFinding[] {
  const { timelock, guardian, minDelaySeconds, withdrawDelaySeconds } = expected
  const proposers = new Set(expected.proposers.map(lower))
  const isOwned = same(live.owner, timelock) && BigInt(live.pendingOwner) === 0n
  const checks: readonly (readonly [RegistryFinding, boolean])[] = [
    ['administrator-foreign', live.administrators.every((each) => same(each, timelock))],
    ['delay-changed', live.minDelaySeconds === minDelaySeconds],
    ['delay-not-above-withdrawal', live.minDelaySeconds > withdrawDelaySeconds],
    ['guardian-changed', same(live.guardian, guardian)],
    ['owner-changed', isOwned],
    ['proposer-foreign', live.proposers.every((each) => proposers.has(lower(each)))],
    ['registrar-changed', same(live.registrar, timelock)],
  ]
  return checks.filter(([, isRight]) => !isRight).map(([finding]) => finding)
}

/**
 * Reads all of it. `fromBlock` is at or before the deployment of the timelock: roles are known by their events only.
 *
 * @throws what the node answers: then nothing is known, and nothing may be deposited.
 * @example `judgeRegistry(await readLiveRegistry(client, { registry, timelock, gatewayId, fromBlock, nowSeconds }), expected)`
 */
export async function readLiveRegistry(
  client: RegistryReader,
  where: {
    readonly registry: Hex
    readonly timelock: Hex
    readonly gatewayId: Hex
    readonly fromBlock: bigint
    /** By the reader's own clock: keys that ended more than their grace before are left out. */
    readonly nowSeconds: number
  },
): Promise<LiveRegistry> {
  const registry = { address: where.registry, abi: keyRegistryAbi } as const
  const timelock = { address: where.timelock, abi: registryTimelockAbi } as const
  const [owner, pendingOwner, registrar, guardian, minDelay, proposers, administrators, keys] =
    await Promise.all([
      client.readContract({ ...registry, functionName: 'owner' }),
      client.readContract({ ...registry, functionName: 'pendingOwner' }),
      client.readContract({ ...registry, functionName: 'registrar' }),
      client.readContract({ ...registry, functionName: 'guardian' }),
      client.readContract({ ...timelock, functionName: 'getMinDelay' }),
      readHolders(client, where.timelock, proposerRole, where.fromBlock),
      readHolders(client, where.timelock, noRole, where.fromBlock),
      readKeys(client, where),
    ])
  const minDelaySeconds = Number(minDelay)
  return {
    owner,
    pendingOwner,
    registrar,
    guardian,
    minDelaySeconds,
    proposers,
    administrators,
    keys,
  }
}

/** Who was given a role and still has it. */
async function readHolders(
  client: RegistryReader,
  timelock: Hex,
  role: Hex,
  fromBlock: bigint,
): Promise<readonly Hex[]> {
  const event = getAbiItem({ abi: registryTimelockAbi, name: 'RoleGranted' })
  const granted = await inWindows(client, fromBlock, (range) =>
    client.getLogs({ address: timelock, event, args: { role }, strict: true, ...range }),
  )
  const holders: Hex[] = []
  for (const account of new Set(granted.map(({ args }) => args.account))) {
    const read = { address: timelock, abi: registryTimelockAbi, functionName: 'hasRole' } as const
    if (await client.readContract({ ...read, args: [role, account] })) holders.push(account)
  }
  return holders
}

async function readKeys(
  client: RegistryReader,
  where: {
    readonly registry: Hex
    readonly gatewayId: Hex
    readonly fromBlock: bigint
    readonly nowSeconds: number
  },
): Promise<readonly LiveKey[]> {
  const { registry: address, gatewayId, fromBlock, nowSeconds } = where
  const event = getAbiItem({ abi: keyRegistryAbi, name: 'KeyRegistered' })
  const registered = await inWindows(client, fromBlock, (range) =>
    client.getLogs({ address, event, args: { gatewayId }, strict: true, ...range }),
  )
  const keys: LiveKey[] = []
  for (const { args } of registered) {
    if (args.validUntil + graceSeconds <= nowSeconds) continue
    const read = { address, abi: keyRegistryAbi, functionName: 'keys' } as const
    const [, , revokedAt] = await client.readContract({ ...read, args: [gatewayId, args.key] })
    if (revokedAt !== 0 && revokedAt <= Math.max(nowSeconds, args.validFrom)) continue
    keys.push({
      key: args.key,
      validFromSeconds: args.validFrom,
      validUntilSeconds: args.validUntil,
      keysetDigest: args.keysetDigest,
    })
  }
  return keys
}

function same(a: Hex, b: Hex): boolean {
  return lower(a) === lower(b)
}

function lower(address: Hex): string {
  return address.toLowerCase()
}
