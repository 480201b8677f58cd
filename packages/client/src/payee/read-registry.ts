/** What the registry of a gateway says today, over the reads that a payer has (spec/contracts.md CO3.5). */
import { judgeRegistry, type LiveRegistry } from '@countersign/contracts/live-registry'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { hashText } from '@countersign/protocol/payment/eip712'
import { encodeWord, type Hex } from '@countersign/protocol/payment/evm-word'
import type { ChainReader } from '../chain/chain-reader.ts'
import { readWord } from '../chain/contract-call.ts'
import { ClientError } from '../errors.ts'

/** What a payer expects of it. Addresses are lower case. */
export type ExpectedRegistry = Parameters<typeof judgeRegistry>[1] & {
  readonly registry: Hex
  /** The CREATE2 factory. */
  readonly factory: Hex
  readonly fromBlock: bigint
}

const roleGranted: Hex = `0x${toHex(hashText('RoleGranted(bytes32,address,address)'))}`
const proposerRole: Hex = `0x${toHex(hashText('PROPOSER_ROLE'))}`
const adminRole: Hex = `0x${'0'.repeat(64)}`
const maxGrants = 4096
// The log of a grant, the topic after role and account.
const senderTopic = 3

/**
 * Refuses a registry whose roles or delay are not the expected ones.
 *
 * @throws ClientError `registry-changed`, `chain-unreachable`.
 */
export async function checkRegistry(
  reader: ChainReader,
  expected: ExpectedRegistry,
): Promise<void> {
  const findings = judgeRegistry(await readRegistry(reader, expected), expected)
  if (findings.length > 0) throw new ClientError('registry-changed', { detail: findings.join(' ') })
}

async function readRegistry(
  reader: ChainReader,
  { registry, timelock, factory, fromBlock }: ExpectedRegistry,
): Promise<LiveRegistry> {
  const at = async (address: Hex, read: string): Promise<Hex> =>
    toAddress(await readWord(reader, address, read))
  const [owner, pendingOwner, registrar, guardian, minDelay, holders] = await Promise.all([
    at(registry, 'owner()'),
    at(registry, 'pendingOwner()'),
    at(registry, 'registrar()'),
    at(registry, 'guardian()'),
    readWord(reader, timelock, 'getMinDelay()'),
    readHolders(reader, { timelock, factory, fromBlock }),
  ])
  return {
    owner,
    pendingOwner,
    registrar,
    guardian,
    minDelaySeconds: Number(minDelay),
    proposers: holders.get(proposerRole) ?? [],
    administrators: holders.get(adminRole) ?? [],
    // Each is announced for the whole delay; judging them needs the evidence of their keysets.
    keys: [],
  }
}

/** Who was ever given a role, and still has it. */
async function readHolders(
  reader: ChainReader,
  { timelock, factory, fromBlock }: Pick<ExpectedRegistry, 'timelock' | 'factory' | 'fromBlock'>,
): Promise<ReadonlyMap<Hex, readonly Hex[]>> {
  const logs = await reader.getLogs(timelock, roleGranted, fromBlock)
  // The factory deploys, and can do nothing else: a grant by it is one of the constructor.
  const deployed = BigInt(factory)
  if (!logs.some(({ topics }) => BigInt(topics[senderTopic] ?? 0) === deployed)) {
    const detail = `block ${fromBlock} is after the deployment of the timelock`
    throw new ClientError('registry-changed', { detail })
  }
  const grants = new Map<string, readonly [role: Hex, account: Hex]>()
  for (const { topics } of logs) {
    const [, role, account] = topics
    if (role === undefined || account === undefined) continue
    if (role === proposerRole || role === adminRole)
      grants.set(`${role}${account}`, [role, account])
  }
  if (grants.size > maxGrants) {
    throw new ClientError('registry-changed', { detail: 'too many roles to judge' })
  }
  const holders = new Map<Hex, Hex[]>()
  for (const [role, account] of grants.values()) {
    const has = await readWord(reader, timelock, 'hasRole(bytes32,address)', [role, account])
    if (has === 0n) continue
    holders.set(role, [...(holders.get(role) ?? []), toAddress(BigInt(account))])
  }
  return holders
}

function toAddress(word: bigint): Hex {
  return `0x${toHex(encodeWord(word).subarray(12))}`
}
