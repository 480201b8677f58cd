/** Another configuration for all workers while they serve. */
import { isDeepStrictEqual } from 'node:util'
import { refuseFixedChange } from '../config/refuse-fixed-change.ts'
import { checkOffer, openPayerLimits } from '../create-gateway.ts'
import type { KeyChange } from '../payment/charge-key/charge-keys.ts'
import { reloadChargeKeys } from '../payment/charge-key/reload-keys.ts'
import { openConfig, type Member } from './member.ts'
import { quickDeathMs, revive, stopMember } from './member-life.ts'
import type { Primary } from './primary-state.ts'
import { makeSharedFiles } from './shared-files.ts'
import { tellReadiness } from './tell-readiness.ts'

/**
 * Puts another configuration into all workers. When none can open it, the old one stays; a worker that alone cannot is
 * replaced by one that begins with it. Never rejects.
 */
export async function reload(primary: Primary): Promise<void> {
  const { options, parts, metrics, starting, current: old } = primary
  const { log, environment } = options
  // Who dies meanwhile is replaced by one that begins with what is decided.
  const { promise, resolve: decided } = Promise.withResolvers<void>()
  primary.deciding = promise
  let keys: KeyChange | undefined
  let serving: readonly Member[] = []
  try {
    const loaded = options.load()
    const offerAtMs = Date.now()
    refuseFixedChange(old.loaded.config, loaded.config)
    await checkOffer(loaded.config, environment, offerAtMs)
    makeSharedFiles(loaded.config)
    const { chargeKeys } = parts.commons.payment
    keys = await reloadChargeKeys(chargeKeys, loaded.config, environment)
    await Promise.all(starting)
    serving = parts.serving()
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
    primary.adopting = adoptAll(canFollow)
    await primary.adopting
    // The keysets that name them are current everywhere.
    keys.commit()
    tellReadiness(primary)
    primary.announcer?.check()
    await primary.announcer?.settled()
    // Who opened its keyset just before the keys were renewed.
    for (const { pipe } of parts.turns.behind()) pipe.tell('renew', null)
    const digest = Buffer.from(loaded.digest).toString('hex')
    log.info({ digest, workers: serving.length }, 'configuration was reloaded')
    metrics.observeReload('done')
  } catch (error) {
    keys?.undo()
    // Also who is late: what it opens is not used.
    for (const { pipe } of serving) pipe.tell('giveUp', null)
    log.error({ err: error }, 'configuration was not reloaded, the old one stays')
    metrics.observeReload('refused')
  } finally {
    decided()
  }
}

/** Never rejects: who dies meanwhile asks no price. */
async function adoptAll(members: readonly Member[]): Promise<void> {
  await Promise.allSettled(members.map(({ pipe }) => pipe.ask('adopt', null)))
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
  tellReadiness(primary)
  void revive(primary, member.slot, quickDeathMs)
}
