/** The life of one worker: it serves as a gateway of its own does, and asks the primary for what exists once. */
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import pino from 'pino'
import type { Gateway, Succession } from '../call/gateway.ts'
import { shareConfig } from '../config/check-workers.ts'
import { ConfigError } from '../config/load-config.ts'
import { createGateway, type Commons } from '../create-gateway.ts'
import { createGatewayServer, presentState } from '../http/server.ts'
import { computeBuildDigest } from '../keys/build-digest.ts'
import { importHpkeKey } from '../keys/hpke-key.ts'
import { createSealedKeys, type OwnSealedKeys, type SealedKeys } from '../keys/sealed-keys.ts'
import { importTlsKey } from '../keys/tls-key.ts'
import { createLiveGateway, type LiveGateway } from '../live-gateway.ts'
import { importOpenGradientSigner } from '../profiles/open-gradient-signer.ts'
import { issueOwedReceipts } from '../receipts/issue-owed-receipts.ts'
import { closeServing, keepClean } from '../run.ts'
import { createPipe, type Answers, type Pipe } from './pipe.ts'
import type { PrimaryQuestions, Readiness, StartOrder, WorkerQuestions } from './questions.ts'
import { createRemotePayment } from './remote-payment.ts'

type PrimaryPipe = Pipe<PrimaryQuestions>
type Server = ReturnType<typeof createGatewayServer>
type Environment = Readonly<Record<string, string | undefined>>

/** A worker after its start. */
type Serving = {
  readonly order: StartOrder
  readonly live: LiveGateway
  readonly server: Server
  stopCleaning: () => void
}

/** Owned by the answers to the primary. */
type State = {
  serving: Serving | undefined
  readiness: Readiness
  exitCode: number
  /** What was opened for the latest reload, and how many there were: who comes later counts. */
  succession: Succession | undefined
  reloads: number
  /** Settles when nothing is being opened; never rejects. */
  preparing: Promise<void>
}

const exitOrphan = 70
// Each worker accepts for itself: what the primary would have handed to one that dies just then would stay open and
// unanswered. Where the system cannot share a port the primary hands connections out all the same.
const sharesPorts = process.platform === 'linux'

/** Serves until the primary says otherwise, or is gone. */
export function runWorker(environment: Environment): void {
  // Whoever signals a whole group of processes means the primary.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, ignoreSignal)
  const state: State = {
    serving: undefined,
    readiness: { isReady: false, isSelling: true },
    exitCode: exitOrphan,
    succession: undefined,
    reloads: 0,
    preparing: Promise.resolve(),
  }
  // Without the primary nothing may be admitted or served: calls under way end with it, as those of one process do.
  process.once('disconnect', () => process.exit(state.exitCode))
  const sealed = createSealedKeys()
  const readiness = (): Readiness => state.readiness
  const answers: Answers<WorkerQuestions> = {
    ping: () => undefined,
    start: async (order) => {
      state.serving = await start(order, { pipe, sealed, environment, readiness })
    },
    issueOwed: async (receipts) => {
      const owed = receipts.map((receipt) => ({
        ...receipt,
        stored: () => {
          pipe.tell('owedStored', receipt.callId)
        },
      }))
      await issueOwedReceipts(gatewayOf(state), owed)
    },
    holdHpke: (key) => {
      sealed.replace(importHpkeKey(key))
    },
    ...createLifeAnswers(state),
    ...createLookupAnswers(state),
  }
  const pipe: PrimaryPipe = createPipe<WorkerQuestions, PrimaryQuestions>(
    {
      send: (frames) => {
        // When it cannot be sent the pipe is broken, and `disconnect` ends the process.
        process.send?.(frames, undefined, undefined, () => undefined)
      },
      listen: (listener) => process.on('message', listener),
    },
    answers,
    (error) => {
      state.serving?.live.current().log.error({ err: error }, 'a message of the primary failed')
    },
  )
  // Nothing is said to a worker before: it would be lost where nobody listens yet.
  pipe.tell('hello', null)
}

function ignoreSignal(): void {
  // The primary says what is to be done.
}

function servingOf({ serving }: State): Serving {
  if (serving === undefined) throw new Error('the worker has not started')
  return serving
}

function gatewayOf(state: State): Gateway {
  return servingOf(state).live.current()
}

type LifeQuestions = Pick<
  WorkerQuestions,
  'listen' | 'ready' | 'renew' | 'reload' | 'adopt' | 'giveUp' | 'stop'
>

function createLifeAnswers(state: State): Answers<LifeQuestions> {
  return {
    listen: async ({ host, port }) => {
      const serving = servingOf(state)
      const { server, live, order } = serving
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ port, host, reusePort: sharesPorts }, resolve)
      })
      if (order.slot === 0) serving.stopCleaning = keepClean(live)
    },
    ready: (value) => {
      state.readiness = value
    },
    renew: async () => {
      await gatewayOf(state).epochs.renew(Date.now())
    },
    reload: async ({ loaded, offerAtMs }) => {
      const { order, live } = servingOf(state)
      const config = shareConfig(loaded.config, order.slot)
      const reload = await giveUp(state)
      // One that was too late may still be opening its keyset.
      const before = state.preparing
      const prepared = before.then(() =>
        prepare(state, reload, () => live.prepare({ config, digest: loaded.digest }, offerAtMs)),
      )
      state.preparing = prepared.catch(() => undefined)
      await prepared
    },
    adopt: () => {
      state.succession?.adopt()
      state.succession = undefined
    },
    giveUp: async () => {
      await giveUp(state)
    },
    stop: async () => {
      state.readiness = { isReady: false, isSelling: false }
      state.exitCode = 0
      const { live, server, stopCleaning } = servingOf(state)
      stopCleaning()
      await closeServing(live, server)
    },
  }
}

async function prepare(
  state: State,
  reload: number,
  open: () => Promise<Succession>,
): Promise<void> {
  const late = new Error('this reload was given up')
  if (reload !== state.reloads) throw late
  const succession = await open()
  if (reload === state.reloads) {
    state.succession = succession
    return
  }
  // It took too long: nobody waits for this configuration any more.
  await succession.drop()
  throw late
}

/** What was opened is dropped, what is being opened will be. Gives the number of a reload that begins now. */
async function giveUp(state: State): Promise<number> {
  const { succession } = state
  state.succession = undefined
  state.reloads += 1
  const reload = state.reloads
  await succession?.drop()
  return reload
}

type LookupQuestions = Pick<WorkerQuestions, 'findReceipt' | 'findAnswer' | 'snapshot'>

function createLookupAnswers(state: State): Answers<LookupQuestions> {
  return {
    findReceipt: async ({ id, waitMs }) => {
      await gatewayOf(state).pending.wait(id, waitMs)
      return gatewayOf(state).receipts.get(id)
    },
    findAnswer: async ({ id, waitMs }) => {
      const { answers: kept, pending } = gatewayOf(state)
      if (kept.get(id, Date.now()) === undefined) await pending.wait(id, waitMs)
      return kept.get(id, Date.now())
    },
    snapshot: () => {
      const gateway = gatewayOf(state)
      return gateway.metrics.snapshot(presentState(gateway))
    },
  }
}

type Surroundings = {
  readonly pipe: PrimaryPipe
  readonly sealed: OwnSealedKeys
  readonly environment: Environment
  readonly readiness: () => Readiness
}

async function start(
  order: StartOrder,
  { pipe, sealed, environment, readiness }: Surroundings,
): Promise<Serving> {
  const { slot, loaded, buildDigest } = order
  // Whoever changed the files of a running gateway does not get into it by ending a worker.
  if (!equalBytes(computeBuildDigest(), buildDigest)) {
    throw new ConfigError('the files of the gateway have changed since it was started')
  }
  for (const key of order.heldHpke) sealed.replace(importHpkeKey(key))
  const config = shareConfig(loaded.config, slot)
  const log = pino({ level: config.log.level, base: { worker: slot } }, pino.destination(2))
  const commons = createCommons(order, pipe, sealed, readiness)
  const first = await createGateway({ config, digest: loaded.digest }, environment, log, commons)
  const live = createLiveGateway(
    first,
    () => {
      throw new Error('a worker reads no configuration')
    },
    environment,
  )
  const server = createGatewayServer(live.current, () => readiness().isReady)
  return { order, live, server, stopCleaning: () => undefined }
}

/** What exists once is the primary's: here is how it is asked for it. */
function createCommons(
  order: StartOrder,
  pipe: PrimaryPipe,
  own: OwnSealedKeys,
  readiness: () => Readiness,
): Commons {
  const { loaded, payees, operator, takesRefunds, attesterKind, offerAtMs } = order
  const { openGradientKey } = order
  const { scheme, payerLimits } = createRemotePayment(pipe, loaded.config.payment === 'none')
  const sealed: SealedKeys = {
    ...own,
    take: (encapsulated, nowMs) => pipe.ask('takeSealed', { encapsulated, nowMs }),
  }
  return {
    payment: {
      scheme,
      payees,
      // A turn brings those that the keyset names.
      settlement: undefined,
      chargeKeys: undefined,
      isSelling: () => readiness().isSelling,
      operator,
      owedReceipts: () => [],
      refunds: takesRefunds ? { answer: (header) => pipe.ask('refund', header) } : undefined,
      // The primary counts them.
      unsettled: () => ({ payments: 0, channels: 0 }),
      collecting: { state: () => readiness().collecting, listen: () => undefined },
    },
    attester: {
      kind: attesterKind,
      attest: (reportData, nowMs) => pipe.ask('attest', { reportData, nowMs }),
    },
    payerLimits,
    takeTurn: async (nowMs, notAfterMs) => {
      const turn = await pipe.ask('takeTurn', { nowMs, notAfterMs })
      const { tls, hpke, settlement, previousKeysetDigest } = turn
      return {
        previousKeysetDigest,
        tls: tls && importTlsKey(tls),
        hpke: hpke && importHpkeKey(hpke),
        settlement: settlement && {
          ...settlement,
          confirm: (message) =>
            pipe.ask('confirmSettlement', { address: settlement.address, message }),
        },
        done: (isStored) => pipe.ask('turnDone', isStored),
      }
    },
    keysetShown: (names) => {
      pipe.tell('keysetShown', names)
    },
    sealed,
    ...(openGradientKey === undefined
      ? {}
      : { openGradient: importOpenGradientSigner(openGradientKey) }),
    siblings: {
      findReceipt: (id, waitMs) => pipe.ask('findReceipt', { id, waitMs }),
      findAnswer: (id, waitMs) => pipe.ask('findAnswer', { id, waitMs }),
      renderMetrics: () => pipe.ask('metrics', null),
    },
    offerAtMs,
  }
}
