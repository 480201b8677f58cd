/** Kills a process that charges calls, again and again, and compares what it said with what its successor finds. */
import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createRandom } from './random.ts'

/** What a run of kills saw. */
export type KillTally = {
  kills: number
  receipts: number
  /** Calls that were reserved and charged nothing: most of them ran when their process died. */
  interrupted: number
  /** Sums that were compared. */
  compared: number
  /** Channels that were found retired. */
  retired: number
  /** The last step of refunds. */
  refundSteps: number
}

type Line = {
  readonly what: string
  readonly callId?: string
  readonly channelId?: string
  readonly atomic?: string
  readonly channels?: readonly {
    readonly channelId: string
    readonly chargedAtomic: string
    readonly running: number
  }[]
  readonly retired?: readonly { readonly channelId: string; readonly chargedAtomic: string }[]
  /** Of the first line: what was found. */
  readonly refunds?: number
  readonly rank?: number
  readonly payments?: readonly { readonly callId: string; readonly chargedAtomic: string }[]
}

type Call = { channelId: string; provenAtomic: bigint; receiptAtomic: bigint | undefined }

const program = fileURLToPath(new URL('./ledger-child.ts', import.meta.url))

/**
 * Starts, kills and restarts; the last process is only asked what it found.
 *
 * @throws AssertionError when anything that was said to be durable is gone, or charges and receipts differ.
 */
export async function killLedger(
  directory: string,
  kills: number,
  seed: number,
): Promise<KillTally> {
  const random = createRandom(seed)
  const calls = new Map<string, Call>()
  const tally: KillTally = {
    kills: 0,
    receipts: 0,
    interrupted: 0,
    compared: 0,
    retired: 0,
    refundSteps: -1,
  }
  for (let round = 0; round <= kills; round++) {
    const isLast = round === kills
    const lines = await runUntilKilled(directory, (seed % 1000) * 10_000 + round + 1, {
      // Some die while they recover; most a random number of lines after that, and a random moment later.
      afterReady: isLast || random.chance(85),
      lines: isLast ? 0 : random.below(400),
      delayMs: isLast ? 0 : random.below(4),
    })
    assert.equal(lines[0]?.what, 'open', 'the process did not open its ledger')
    compareRefunds(lines, tally)
    for (const line of lines) {
      if (line.what === 'ready') compare(calls, lines[0], tally)
      else collect(calls, line, tally)
    }
    tally.kills += isLast ? 0 : 1
  }
  for (const { receiptAtomic = 0n } of calls.values()) {
    if (receiptAtomic === 0n) tally.interrupted++
  }
  return tally
}

/** A step that was durable is found again; at most the next one was written without being told. */
function compareRefunds([found, ...lines]: readonly [Line, ...Line[]], tally: KillTally): void {
  const { refunds = -1 } = found
  assert.ok(refunds === tally.refundSteps || refunds === tally.refundSteps + 1, 'a refund is lost')
  tally.refundSteps = refunds
  for (const { what, rank = -1 } of lines) if (what === 'refunds') tally.refundSteps = rank
}

function collect(calls: Map<string, Call>, line: Line, tally: KillTally): void {
  const { what, callId, channelId, atomic = '0' } = line
  if (callId === undefined) return
  const known = calls.get(callId)
  const call = known ?? { channelId: '', provenAtomic: 0n, receiptAtomic: undefined }
  calls.set(callId, call)
  call.channelId = channelId ?? call.channelId
  if (what === 'proven') call.provenAtomic = BigInt(atomic)
  if (what !== 'receipt') return
  // The same receipt may leave twice, but never with another amount.
  assert.equal(call.receiptAtomic ?? BigInt(atomic), BigInt(atomic), 'two amounts for one call')
  assert.ok(BigInt(atomic) >= call.provenAtomic, 'less was charged than was proven')
  if (call.receiptAtomic === undefined) tally.receipts++
  call.receiptAtomic = BigInt(atomic)
}

/** What the new process found is what all receipts add up to, those included that it still owed. */
function compare(calls: ReadonlyMap<string, Call>, found: Line, tally: KillTally): void {
  const sums = new Map<string, bigint>()
  for (const { channelId, receiptAtomic = 0n } of calls.values()) {
    sums.set(channelId, (sums.get(channelId) ?? 0n) + receiptAtomic)
  }
  for (const { channelId, chargedAtomic, running } of found.channels ?? []) {
    assert.equal(running, 0, 'a call goes on after its process died')
    assert.equal(
      BigInt(chargedAtomic),
      sums.get(channelId) ?? 0n,
      `charges and receipts of ${channelId}`,
    )
    tally.compared++
  }
  for (const { channelId, chargedAtomic } of found.retired ?? []) {
    assert.equal(BigInt(chargedAtomic), sums.get(channelId) ?? 0n, `receipts of ${channelId}`)
    tally.retired++
    tally.compared++
  }
  for (const { callId, chargedAtomic } of found.payments ?? []) {
    assert.equal(
      chargedAtomic,
      `${calls.get(callId)?.receiptAtomic}`,
      `charge and receipt of ${callId}`,
    )
    tally.compared++
  }
}

async function runUntilKilled(
  directory: string,
  seed: number,
  kill: { readonly afterReady: boolean; readonly lines: number; readonly delayMs: number },
): Promise<readonly [Line, ...Line[]]> {
  const child = spawn(process.execPath, ['--conditions=source', program, directory, `${seed}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const lines: Line[] = []
  let killAt = kill.afterReady ? Infinity : 1
  for await (const text of createInterface(child.stdout)) {
    // The last line may be cut.
    if (!text.endsWith('}')) continue
    const line: Line = JSON.parse(text)
    lines.push(line)
    if (line.what === 'ready' && kill.afterReady) killAt = lines.length + kill.lines
    if (lines.length === killAt) setTimeout(() => child.kill('SIGKILL'), kill.delayMs)
  }
  const [, signal] = await exited
  assert.equal(signal, 'SIGKILL', 'the process ended by itself')
  const [first, ...rest] = lines
  assert.ok(first !== undefined)
  return [first, ...rest]
}
