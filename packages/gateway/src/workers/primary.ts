/**
 * The primary of several processes: it starts workers and replaces them, owns what exists once, and serves nothing
 * itself (docs/decisions/2026-11-21-workers.md).
 */
import cluster from 'node:cluster'
import { mkdirSync } from 'node:fs'
import { ConfigError } from '../config/load-config.ts'
import { checkOffer, openCommons } from '../create-gateway.ts'
import { computeBuildDigest } from '../keys/build-digest.ts'
import { createSealedKeys } from '../keys/sealed-keys.ts'
import { createMetrics } from '../metrics.ts'
import { createOpenGradientKey } from '../profiles/open-gradient-signer.ts'
import { openReceiptStore } from '../receipts/receipt-store.ts'
import { atMost, exitCutOff, stopSignal } from '../run.ts'
import { createKeysetTurns } from './keyset-turns.ts'
import { setUpMembers, type Member } from './member.ts'
import { startMember, stopMember } from './member-life.ts'
import { createOwedReceipts } from './owed-receipts.ts'
import { findPort, urlOf } from './port.ts'
import { lastWordsMs, type Primary, type PrimaryOptions } from './primary-state.ts'
import { reload } from './reload.ts'
import { makeSharedFiles } from './shared-files.ts'
import { createSumMetrics } from './sum-metrics.ts'
import { followSharedKeys } from './tell-readiness.ts'

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
    // While the processes end the signal is heard, too: unheard, it would kill.
    if (stopping.signal.aborted) return
    reloads = reloads.then(() => reload(primary))
  }
  process.on('SIGHUP', onReload)
  // What changed while the workers started.
  primary.announcer?.check()
  const url = urlOf(config, primary.port)
  process.stdout.write(`${JSON.stringify({ ready: true, url })}\n`)
  log.info({ url, workers: config.workers }, 'gateway is ready')
  await stopSignal(exitWithParent)
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
  makeSharedFiles(config)
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
    openGradientKey:
      config.profiles.openGradient === undefined ? undefined : createOpenGradientKey(),
    members,
    starting: new Set(),
    burials: new Set(),
    quickDeaths: new Map(),
    stopping: new AbortController(),
    deciding: Promise.resolve(),
    adopting: Promise.resolve(),
    current: { loaded: first, offerAtMs },
    payerLimits,
    announcer: undefined,
    receipts,
  }
  primary.announcer = followSharedKeys(primary)
  return primary
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
