/**
 * The primary of several processes: it starts workers and replaces them, owns what exists once, and serves nothing
 * itself (docs/decisions/2026-11-21-workers.md).
 */
import cluster from 'node:cluster'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { ConfigError, type LoadedConfig } from '../config/load-config.ts'
import { refuseFixedChange } from '../config/refuse-fixed-change.ts'
import { checkOffer, openCommons, openPayerLimits } from '../create-gateway.ts'
import { computeBuildDigest } from '../keys/build-digest.ts'
import { createSealedKeys } from '../keys/sealed-keys.ts'
import { createMetrics } from '../metrics.ts'
import { reloadChargeKeys } from '../payment/charge-key/reload-keys.ts'
import { openReceiptStore } from '../receipts/receipt-store.ts'
import { openOwnerStore } from '../references/owner-store.ts'
import { atMost, exitCutOff, stopSignal } from '../run.ts'
import { createKeysetTurns } from './keyset-turns.ts'
import { forkMember, openConfig, setUpMembers, type Member } from './member.ts'
import { createOwedReceipts } from './owed-receipts.ts'
import { createPaymentDesk } from './payment-desk.ts'
import { findPort, urlOf } from './port.ts'
import { createPrimaryAnswers, type PrimaryParts } from './primary-answers.ts'
import { createSumMetrics } from './sum-metrics.ts'
import { announceKeys, tellReadiness } from './tell-readiness.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What a primary begins with. */
export type PrimaryOptions = {
  readonly first: LoadedConfig
  readonly load: () => LoadedConfig
  readonly environment: Environment
  /** The program that workers run, too. */
  readonly program: string
  readonly exitWithParent: boolean
  readonly log: Logger
}

/** Everything that the primary owns. */
type Primary = {
  readonly options: PrimaryOptions
  readonly parts: PrimaryParts
  readonly sums: ReturnType<typeof createSumMetrics<Member>>
  readonly metrics: ReturnType<typeof createMetrics>
  readonly buildDigest: Uint8Array
  readonly port: number
  /** Workers whose process is there. */
  readonly members: Set<Member>
  /** Settles when no worker is starting that was when it was asked. */
  readonly starting: Set<Promise<unknown>>
  /** What is left to do for workers that are gone. */
  readonly burials: Set<Promise<void>>
  readonly quickDeaths: Map<number, number>
  readonly stopping: AbortController
  /** Settles when it is decided which configuration is the current one: nobody starts before. */
  deciding: Promise<void>
  current: { readonly loaded: LoadedConfig; readonly offerAtMs: number }
  payerLimits: ReturnType<typeof openPayerLimits>
}

const quickDeathMs = 10_000
const freeDeaths = 2
const maxPauseMs = 30_000
const lastWordsMs = 5000

/**
 * Runs until SIGTERM or SIGINT (or the parent's end), as one process does. SIGHUP reads the configuration again.
 *
 * @throws ConfigError, AttestationError when it cannot start.
 */
export async function runPrimary(options: PrimaryOptions): Promise<void> {
  if (!cluster.isPrimary) throw new ConfigError('NODE_UNIQUE_ID is set: this is no worker')
  const { first, log, exitWithParent } = options
  const { receipts, ...primary } = await openPrimary(options)
  const { members, stopping } = primary
  const { config } = first
  setUpMembers(options.program)
  try {
    const slots = Array.from({ length: config.workers }, (_, slot) => slot)
    const started = await Promise.allSettled(slots.map((slot) => startMember(primary, slot)))
    for (const each of started) if (each.status === 'rejected') throw each.reason
  } catch (error) {
    stopping.abort()
    for (const member of members) member.kill()
    await Promise.all(Array.from(members, ({ ended }) => ended))
    await primary.parts.commons.payment.scheme.close()
    receipts.close()
    throw error
  }
  let reloads: Promise<void> = Promise.resolve()
  const onReload = (): void => {
    reloads = reloads.then(() => reload(primary))
  }
  process.on('SIGHUP', onReload)
  announceKeys(primary.parts, config.workers)
  const url = urlOf(config, primary.port)
  process.stdout.write(`${JSON.stringify({ ready: true, url })}\n`)
  log.info({ url, workers: config.workers }, 'gateway is ready')
  await stopSignal(exitWithParent)
  process.off('SIGHUP', onReload)
  stopping.abort()
  log.info({ workers: members.size }, 'gateway is stopping')
  await endAll(primary, reloads)
  receipts.close()
}

/** Within `drainTimeoutMs` and `stopTimeoutMs` and some seconds, whatever a worker, a chain or a disk does. */
async function endAll(primary: Primary, reloads: Promise<void>): Promise<void> {
  const { members, parts, options, current } = primary
  const { drainTimeoutMs, stopTimeoutMs } = current.loaded.config.limits
  const patience = setTimeout(
    () => {
      options.log.error({ workers: members.size }, 'gateway could not end its workers in time')
      process.exit(exitCutOff)
    },
    drainTimeoutMs + stopTimeoutMs + 2 * lastWordsMs,
  )
  await atMost(lastWordsMs, reloads)
  const areEnded = await Promise.all(Array.from(members, (member) => stopMember(primary, member)))
  await Promise.all(primary.burials)
  await parts.commons.payment.scheme.close()
  clearTimeout(patience)
  if (areEnded.includes(false)) process.exitCode = exitCutOff
}

async function openPrimary(
  options: PrimaryOptions,
): Promise<Primary & { readonly receipts: ReturnType<typeof openReceiptStore> }> {
  const { first, environment, log } = options
  const { config } = first
  const offerAtMs = Date.now()
  await checkOffer(config, environment, offerAtMs)
  const port = await findPort(config.listen)
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  // Made here, so that workers find them as they are.
  const receipts = openReceiptStore(config.dataDir, () => undefined)
  openOwnerStore(config.dataDir).close()
  const buildDigest = computeBuildDigest()
  const { payerLimits, ...commons } = await openCommons(first, environment, log, buildDigest)
  const members = new Set<Member>()
  const serving = (): readonly Member[] => [...members].filter(({ state }) => state === 'serving')
  const owed = createOwedReceipts<Member>()
  owed.add(commons.payment.owedReceipts())
  const turns = createKeysetTurns<Member>({
    tlsNames: config.listen.tls?.names,
    sealed: config.listen.sealed,
    lastKeysetDigest: () => receipts.lastKeysetDigest(),
    spread: async (hpke, except) => {
      const others = [...members].filter((other) => other !== except)
      await Promise.allSettled(others.map(({ pipe }) => pipe.ask('holdHpke', hpke)))
    },
    onRenewed: (by) => {
      for (const other of serving()) if (other !== by) other.pipe.tell('renew', null)
    },
  })
  const primary: Primary & { readonly receipts: typeof receipts } = {
    options,
    parts: {
      commons,
      turns,
      owed,
      sealed: createSealedKeys(),
      serving,
      renderMetrics: () => renderMetrics(primary),
    },
    sums: createSumMetrics<Member>(),
    metrics: createMetrics(),
    buildDigest,
    port,
    members,
    starting: new Set(),
    burials: new Set(),
    quickDeaths: new Map(),
    stopping: new AbortController(),
    deciding: Promise.resolve(),
    current: { loaded: first, offerAtMs },
    payerLimits,
    receipts,
  }
  return primary
}

/** Starts a worker and has it listen. @throws what the worker could not do. */
function startMember(primary: Primary, slot: number): Promise<void> {
  const started = start(primary, slot)
  const settled = started.catch(() => undefined)
  primary.starting.add(settled)
  return started.finally(() => primary.starting.delete(settled))
}

async function start(primary: Primary, slot: number): Promise<void> {
  const { parts, members, current, buildDigest, options, port } = primary
  const { payment, attester } = parts.commons
  const desk = createPaymentDesk(payment.scheme, () => primary.payerLimits)
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
    await member.pipe.ask('start', {
      slot,
      ...current,
      buildDigest,
      attesterKind: attester.kind,
      payees: payment.payees,
      operator: payment.operator,
      takesRefunds: payment.refunds !== undefined,
      heldHpke: parts.turns.heldHpke(),
    })
    // Before the first call, as in one process.
    await issueOwed(primary, member)
    await member.pipe.ask('listen', { host: options.first.config.listen.host, port })
    member.state = 'serving'
    member.servingSinceMs = Date.now()
    options.log.info({ worker: slot, pid: member.pid }, 'a worker serves')
    tellAll(primary)
  } catch (error) {
    member.kill()
    throw error
  }
  // A burial that was done after the first look and before this one served found no heir.
  await issueOwed(primary, member).catch((error: unknown) => {
    options.log.error({ err: error, worker: slot }, 'receipts that are owed could not be issued')
  })
}

async function issueOwed({ parts }: Primary, member: Member): Promise<void> {
  const receipts = parts.owed.take(member)
  if (receipts.length > 0) await member.pipe.ask('issueOwed', receipts)
}

function tellAll({ parts, options }: Primary): void {
  tellReadiness(parts, options.first.config.workers)
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
  parts.owed.remove(member)
  sums.remove(member)
  tellAll(primary)
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
async function revive(primary: Primary, slot: number, servedMs: number): Promise<void> {
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
function stopMember(primary: Primary, member: Member): Promise<boolean> {
  member.leaving ??= leave(primary, member)
  return member.leaving
}

async function leave({ current }: Primary, member: Member): Promise<boolean> {
  const { drainTimeoutMs, stopTimeoutMs } = current.loaded.config.limits
  const isServing = member.state === 'serving'
  member.state = 'leaving'
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

/**
 * Puts another configuration into all workers. When none can open it, the old one stays; a worker that alone cannot is
 * replaced by one that begins with it. Never rejects.
 */
async function reload(primary: Primary): Promise<void> {
  const { options, parts, metrics, starting, current: old } = primary
  const { log, environment } = options
  // Who dies meanwhile is replaced by one that begins with what is decided.
  const { promise, resolve: decided } = Promise.withResolvers<void>()
  primary.deciding = promise
  let keepOldKeys: (() => void) | undefined
  try {
    const loaded = options.load()
    const offerAtMs = Date.now()
    refuseFixedChange(old.loaded.config, loaded.config)
    await checkOffer(loaded.config, environment, offerAtMs)
    const { chargeKeys } = parts.commons.payment
    keepOldKeys = await reloadChargeKeys(chargeKeys, loaded.config, environment)
    await Promise.all(starting)
    const serving = parts.serving()
    const next = { loaded, offerAtMs }
    log.info({ workers: serving.length }, 'a configuration is handed to the workers')
    const opened = await Promise.allSettled(serving.map((member) => openConfig(member, next)))
    const failed = opened.find((each) => each.status === 'rejected')
    const isNowhere = opened.every((each) => each.status === 'rejected')
    if (failed !== undefined && isNowhere) throw failed.reason
    primary.current = next
    if (!isDeepStrictEqual(old.loaded.config.limits.perPayer, loaded.config.limits.perPayer)) {
      primary.payerLimits = openPayerLimits(loaded.config)
    }
    decided()
    const canFollow = serving.filter((_, index) => opened[index]?.status === 'fulfilled')
    for (const member of serving) if (!canFollow.includes(member)) replace(primary, member)
    await Promise.allSettled(canFollow.map(({ pipe }) => pipe.ask('adopt', null)))
    tellAll(primary)
    const digest = Buffer.from(loaded.digest).toString('hex')
    log.info({ digest, workers: serving.length }, 'configuration was reloaded')
    metrics.observeReload('done')
  } catch (error) {
    keepOldKeys?.()
    log.error({ err: error }, 'configuration was not reloaded, the old one stays')
    metrics.observeReload('refused')
  } finally {
    decided()
  }
}

/**
 * A worker that cannot follow serves no new call; another one takes its place. Nobody waits for that: when none can, the
 * way out is one more reload.
 */
function replace(primary: Primary, member: Member): void {
  // It died, and its burial has seen to that.
  if (!primary.members.has(member)) return
  primary.options.log.error({ worker: member.slot }, 'a worker cannot follow and is replaced')
  void stopMember(primary, member)
  tellAll(primary)
  void revive(primary, member.slot, quickDeathMs)
}

async function renderMetrics({ parts, metrics, sums }: Primary): Promise<string> {
  const own = await metrics.snapshot({
    pendingCalls: 0,
    requestBytes: 0,
    unwrittenReceipts: 0,
    unsettled: parts.commons.payment.unsettled(),
    upstreams: [],
  })
  const asked = parts
    .serving()
    .map((member) => [member, member.pipe.ask('snapshot', null)] as const)
  return await sums.render(own, new Map(asked))
}
