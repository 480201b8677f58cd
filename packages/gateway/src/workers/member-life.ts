/** From the start of a worker to its burial: the primary replaces who dies, and ends what it had begun. */
import { setTimeout as sleep } from 'node:timers/promises'
import { superviseMember } from './heartbeat.ts'
import { awaitHello, forkMember, type Member } from './member.ts'
import { createPaymentDesk } from './payment-desk.ts'
import { createPrimaryAnswers } from './primary-answers.ts'
import { lastWordsMs, type Primary } from './primary-state.ts'
import { tellReadiness } from './tell-readiness.ts'

/** Who dies sooner than this after its start dies quickly. */
export const quickDeathMs = 10_000
const freeDeaths = 2
const maxPauseMs = 30_000

/** Starts a worker and has it listen. @throws what the worker could not do. */
export function startMember(primary: Primary, slot: number): Promise<void> {
  const started = start(primary, slot)
  const settled = started.catch(() => undefined)
  primary.starting.add(settled)
  return started.finally(() => primary.starting.delete(settled))
}

async function start(primary: Primary, slot: number): Promise<void> {
  const { parts, members, current, buildDigest, options, port, openGradientKey } = primary
  const { payment, attester } = parts.commons
  const desk = createPaymentDesk(
    payment.scheme,
    () => primary.payerLimits,
    () => primary.adopting,
  )
  const member = forkMember(
    slot,
    desk,
    (self) => createPrimaryAnswers(parts, self),
    (error) => {
      options.log.error({ err: error, worker: slot }, 'a message of a worker failed')
    },
  )
  members.add(member)
  const burial = bury(primary, member).finally(() => primary.burials.delete(burial))
  primary.burials.add(burial)
  try {
    await awaitHello(member)
    supervise(primary, member)
    await member.pipe.ask('start', {
      slot,
      ...current,
      buildDigest,
      attesterKind: attester.kind,
      payees: payment.payees,
      operator: payment.operator,
      takesRefunds: payment.refunds !== undefined,
      heldHpke: parts.turns.heldHpke(),
      openGradientKey,
    })
    // Before the first call, as in one process.
    await issueOwed(primary, member)
    await member.pipe.ask('listen', { host: options.first.config.listen.host, port })
    member.state = 'serving'
    member.servingSinceMs = Date.now()
    options.log.info({ worker: slot, pid: member.pid }, 'a worker serves')
    tellReadiness(primary)
    primary.announcer?.check()
  } catch (error) {
    member.kill()
    throw error
  }
  // A burial that was done after the first look and before this one served found no heir.
  await issueOwed(primary, member).catch((error: unknown) => {
    options.log.error({ err: error, worker: slot }, 'receipts that are owed could not be issued')
  })
}

function supervise(primary: Primary, member: Member): void {
  superviseMember(
    member,
    () => primary.current.loaded.config.limits.workerTimeoutMs,
    (timeoutMs) => {
      const { slot: worker, pid } = member
      primary.options.log.error({ worker, pid, timeoutMs }, 'a worker does not answer and is ended')
    },
  )
}

async function issueOwed({ parts }: Primary, member: Member): Promise<void> {
  const receipts = parts.owed.take(member)
  if (receipts.length > 0) await member.pipe.ask('issueOwed', receipts)
}

/** Waits for the end of a worker, ends what it had begun, and replaces it. Never rejects. */
async function bury(primary: Primary, member: Member): Promise<void> {
  const { parts, members, sums, stopping, options } = primary
  const { log } = options
  const end = await member.ended
  const { state, slot } = member
  members.delete(member)
  member.pipe.end()
  parts.turns.remove(member)
  parts.commons.payment.chargeKeys?.gone(member)
  parts.owed.remove(member)
  sums.remove(member)
  tellReadiness(primary)
  if (state === 'serving' && !stopping.signal.aborted) {
    log.error({ worker: slot, ...end }, 'a worker has ended, another one takes its place')
    void revive(primary, slot, Date.now() - member.servingSinceMs)
  }
  try {
    const callIds = await member.desk.abandon()
    const { owedReceipts } = parts.commons.payment
    parts.owed.add(owedReceipts().filter(({ callId }) => callIds.has(callId)))
    const [heir] = parts.serving()
    if (heir !== undefined) await issueOwed(primary, heir)
  } catch (error) {
    log.error({ err: error, worker: slot }, 'what a worker had begun could not be ended')
  }
}

/** Tries until a worker serves in this place, or the gateway stops. */
export async function revive(primary: Primary, slot: number, servedMs: number): Promise<void> {
  const { stopping, options, quickDeaths } = primary
  let quick = servedMs < quickDeathMs ? (quickDeaths.get(slot) ?? 0) + 1 : 0
  for (; !stopping.signal.aborted; quick++) {
    quickDeaths.set(slot, quick)
    const pauseMs = quick <= freeDeaths ? 0 : Math.min(maxPauseMs, 250 * 2 ** quick)
    // Aborting rejects the pause; the loop looks at the signal itself.
    await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    await primary.deciding
    if (stopping.signal.aborted) return
    try {
      await startMember(primary, slot)
      return
    } catch (error) {
      options.log.error({ err: error, worker: slot }, 'a worker did not start')
    }
  }
}

/** Asks it to end its calls, once, and ends it when it takes too long. Resolves with whether it ended them. */
export function stopMember(primary: Primary, member: Member): Promise<boolean> {
  member.leaving ??= leave(primary, member)
  return member.leaving
}

async function leave({ current, parts }: Primary, member: Member): Promise<boolean> {
  const { drainTimeoutMs, stopTimeoutMs } = current.loaded.config.limits
  const isServing = member.state === 'serving'
  member.state = 'leaving'
  parts.commons.payment.chargeKeys?.gone(member)
  if (!isServing) {
    // Nothing is under way where nothing is served yet.
    member.kill()
    await member.ended
    return true
  }
  const patience = setTimeout(
    () => {
      member.kill()
    },
    drainTimeoutMs + stopTimeoutMs + lastWordsMs,
  )
  try {
    await member.pipe.ask('stop', null)
  } catch {
    // It is gone already: its burial says so.
  }
  member.dismiss()
  const { code } = await member.ended
  clearTimeout(patience)
  return code === 0
}
