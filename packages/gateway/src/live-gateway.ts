/** The gateway as it is now, and how another configuration takes the place of the one that it runs by. */
import type { Gateway, Succession } from './call/gateway.ts'
import type { LoadedConfig } from './config/load-config.ts'
import { closeGateway, succeedGateway } from './create-gateway.ts'

/** Owner of the gateway that new calls are handled by. */
export type LiveGateway = {
  readonly current: () => Gateway
  /**
   * Reads the configuration again. New calls are handled by it from one moment on; calls under way end under the
   * keyset, prices and upstreams that they began with. What cannot be used is logged, and the old one stays. Never
   * rejects; one at a time, in the order of asking.
   */
  reload(): Promise<void>
  /**
   * Opens another configuration without using it yet: it is to be adopted or dropped.
   *
   * @throws ConfigError, AttestationError; nothing has changed then.
   */
  prepare(loaded: LoadedConfig, offerAtMs?: number): Promise<Succession>
  /** Closes everything. Calls under way must have ended. */
  close(): Promise<void>
}

/** A live gateway. `load` reads and validates the configuration, and throws what is wrong with it. */
export function createLiveGateway(
  first: Gateway,
  load: () => LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
): LiveGateway {
  // All owned here: replaced by a reload only.
  let current = first
  let last: Promise<void> = Promise.resolve()
  const retired = new Set<Promise<void>>()

  async function prepare(loaded: LoadedConfig, offerAtMs?: number): Promise<Succession> {
    const old = current
    const { adopt, drop } = await succeedGateway(old, loaded, environment, offerAtMs)
    return {
      adopt: () => {
        current = adopt()
        const closing = closeWhenUnused(old).finally(() => retired.delete(closing))
        retired.add(closing)
        return current
      },
      drop,
    }
  }

  async function replace(): Promise<void> {
    const old = current
    const { log } = old
    try {
      const loaded = load()
      const { adopt } = await prepare(loaded)
      // One more keyset, where other charge keys are used from now on.
      await adopt().announcer?.settled()
      const digest = Buffer.from(loaded.digest).toString('hex')
      log.info({ digest, models: current.upstreams.models.length }, 'configuration was reloaded')
      old.metrics.observeReload('done')
    } catch (error) {
      log.error({ err: error }, 'configuration was not reloaded, the old one stays')
      old.metrics.observeReload('refused')
    }
  }

  return {
    current: () => current,
    prepare,
    reload: () => {
      last = last.then(replace)
      return last
    },
    close: async () => {
      await last
      await Promise.all(retired)
      await closeGateway(current)
    },
  }
}

async function closeWhenUnused({ pending, upstreams, log }: Gateway): Promise<void> {
  try {
    await pending.presentEnded()
    await upstreams.close()
  } catch (error) {
    log.error({ err: error }, 'upstreams of an old configuration could not be closed')
  }
}
