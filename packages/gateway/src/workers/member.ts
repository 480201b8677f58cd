/** One worker as the primary sees it: a process, a pipe to it, and what it has reserved. */
import cluster, { type Worker } from 'node:cluster'
import { createPipe, type Answers, type Pipe } from './pipe.ts'
import type { PaymentDesk } from './payment-desk.ts'
import type { PrimaryQuestions, WorkerQuestions } from './questions.ts'

/** A worker. Its state is the primary's. */
export type Member = {
  readonly slot: number
  readonly pid: number
  readonly pipe: Pipe<WorkerQuestions>
  readonly desk: PaymentDesk
  /** Resolves when the worker has said that it listens: nothing may be asked before. */
  readonly hello: Promise<void>
  greet(): void
  /** Resolves when the process is gone and everything that it had sent has arrived. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  state: 'starting' | 'serving' | 'leaving'
  servingSinceMs: number
  /** Once it was asked to end: whether it ended its calls. */
  leaving: Promise<boolean> | undefined
  /** Closes the pipe: a worker ends then. */
  dismiss(): void
  kill(): void
}

/** All workers open one keyset after the other, each with evidence from hardware. */
export const maxOpenMs = 120_000
const maxHelloMs = 120_000

/** Secrets that no worker needs. */
const withheld = { COUNTERSIGN_SETTLEMENT_KEY: undefined, COUNTERSIGN_CHARGE_KEY: undefined }

/** Decides how workers are started: the same program, told to be a worker. */
export function setUpMembers(program: string): void {
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({
    exec: program,
    args: ['--worker'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}

/** Starts a process. `answers` are those for this worker. */
export function forkMember(
  slot: number,
  desk: PaymentDesk,
  answer: (member: Member) => Answers<PrimaryQuestions>,
  onFault: (error: unknown) => void,
): Member {
  const worker = cluster.fork(withheld)
  const ended = awaitEnd(worker)
  const { promise: hello, resolve: greet } = Promise.withResolvers<void>()
  const listeners: ((message: unknown) => void)[] = []
  worker.on('message', (message: unknown) => {
    for (const listener of listeners) listener(message)
  })
  const member: Member = {
    slot,
    pid: worker.process.pid ?? 0,
    desk,
    hello,
    greet,
    ended,
    state: 'starting',
    servingSinceMs: 0,
    leaving: undefined,
    dismiss: () => {
      if (worker.process.connected) worker.process.disconnect()
    },
    kill: () => {
      worker.process.kill('SIGKILL')
    },
    get pipe() {
      return pipe
    },
  }
  const pipe = createPipe<PrimaryQuestions, WorkerQuestions>(
    {
      send: (frames) => {
        // What cannot be sent is lost with its worker; `ended` says so.
        if (worker.process.connected) worker.process.send([...frames], () => undefined)
      },
      listen: (listener) => listeners.push(listener),
    },
    answer(member),
    onFault,
  )
  return member
}

/**
 * Has a worker open another configuration; `adopt` makes it the current one.
 *
 * @throws what the worker could not do, also when it does nothing for too long: nobody is replaced meanwhile.
 */
export async function openConfig(
  { pipe }: Member,
  next: WorkerQuestions['reload']['ask'],
): Promise<void> {
  await within(maxOpenMs, pipe.ask('reload', next))
}

/** Has a worker open its next keyset, and waits until it is the current one. @throws what the worker could not do. */
export async function renewKeyset({ pipe }: Member): Promise<void> {
  await within(maxOpenMs, pipe.ask('renew', null))
}

/**
 * Waits until a worker that was just started listens.
 *
 * @throws Error when it ends before, or takes too long.
 */
export async function awaitHello({ hello, ended }: Member): Promise<void> {
  const gone = ended.then(() => {
    throw new Error('the worker ended before it said anything')
  })
  await within(maxHelloMs, Promise.race([hello, gone]))
}

async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>()
  const patience = setTimeout(late.reject, timeoutMs, new Error('the worker does not answer'))
  await Promise.race([promise, late.promise]).finally(() => {
    clearTimeout(patience)
  })
}

/**
 * A process that has exited may have left messages in its pipe. After the last of them comes `close`, or `disconnect`
 * where we ended the pipe: of a process that was killed in the middle of a message only the first comes, and of one that
 * was dismissed only the second.
 */
function awaitEnd({ process: child }: Worker): Member['ended'] {
  return new Promise((resolve) => {
    let isDisconnected = false
    const look = (): void => {
      const { exitCode: code, signalCode: signal } = child
      if (isDisconnected && (code !== null || signal !== null)) resolve({ code, signal })
    }
    child.once('disconnect', () => {
      isDisconnected = true
      look()
    })
    child.once('exit', look)
    child.once('close', (code, signal) => {
      resolve({ code, signal })
    })
    // A process that could not even be started.
    child.once('error', () => {
      if (child.pid === undefined) resolve({ code: null, signal: null })
    })
  })
}
