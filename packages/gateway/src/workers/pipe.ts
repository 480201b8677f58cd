/**
 * Questions and news between the primary and one worker. Both run the same measured code and nobody else can write to
 * the pipe: messages are typed and bounded, not parsed as input of an attacker.
 */
import { ConfigError } from '../config/load-config.ts'
import { AttestationError, type AttestationErrorCode } from '../enclave/attestation-error.ts'

/** Names of questions, each with what is asked and what is answered. `answer: void` also serves for news. */
export type Questions = Readonly<
  Record<string, { readonly ask: unknown; readonly answer: unknown }>
>

/** Who answers them. */
export type Answers<Q extends Questions> = {
  readonly [K in keyof Q]: (value: Q[K]['ask']) => Q[K]['answer'] | Promise<Q[K]['answer']>
}

/** One side of a pipe. */
export type Pipe<Theirs extends Questions> = {
  /** Resolves with the answer; rejects with the error of the other side, or when it is gone. */
  ask<K extends keyof Theirs & string>(
    name: K,
    value: Theirs[K]['ask'],
  ): Promise<Theirs[K]['answer']>
  /** Nobody waits for an answer. */
  tell<K extends keyof Theirs & string>(name: K, value: Theirs[K]['ask']): void
  /** The other side is gone: whoever waits for it hears so. */
  end(): void
}

/** What carries messages. */
export type Carrier = {
  send(frames: readonly Frame[]): void
  /** The one listener. */
  listen(listener: (message: unknown) => void): void
}

type Fault =
  | { readonly kind: 'attestation'; readonly code: AttestationErrorCode; readonly detail: string }
  | { readonly kind: 'config' | 'other'; readonly detail: string }

/** One question, news, or answer. `id` is null for news. */
export type Frame =
  | {
      readonly kind: 'ask'
      readonly id: number | null
      readonly name: string
      readonly value: unknown
    }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: Fault }

// `never`: whoever waits for the value knows its type, and it goes nowhere else.
type Arrived =
  | {
      readonly kind: 'ask'
      readonly id: number | null
      readonly name: string
      readonly value: never
    }
  | { readonly kind: 'done'; readonly id: number; readonly value: never }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: Fault }

type Waiter = {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

// Each call under way has one or two.
const maxWaiting = 100_000
const maxFrames = 10_000

/**
 * A pipe over a carrier. Messages of one turn of the event loop travel together.
 *
 * @param onFault - told of news that could not be handled: a mistake of ours.
 */
export function createPipe<Mine extends Questions, Theirs extends Questions>(
  carrier: Carrier,
  answers: Answers<Mine>,
  onFault: (error: unknown) => void,
): Pipe<Theirs> {
  // All owned here.
  const waiting = new Map<number, Waiter>()
  let lastId = 0
  let outbox: Frame[] = []
  let isEnded = false
  const handlers = new Map<string, (value: never) => unknown>(Object.entries(answers))

  function put(frame: Frame): void {
    if (isEnded) return
    outbox.push(frame)
    if (outbox.length === 1) setImmediate(flush)
    else if (outbox.length === maxFrames) flush()
  }

  function flush(): void {
    const frames = outbox
    outbox = []
    if (frames.length > 0 && !isEnded) carrier.send(frames)
  }

  async function answer(id: number | null, name: string, value: never): Promise<void> {
    try {
      const handle = handlers.get(name)
      if (handle === undefined) throw new Error(`nobody answers ${name}`)
      const result = await handle(value)
      if (id !== null) put({ kind: 'done', id, value: result })
    } catch (error) {
      if (id === null) onFault(error)
      else put({ kind: 'fault', id, fault: toFault(error) })
    }
  }

  carrier.listen((message) => {
    if (!isBatch(message)) return
    for (const frame of message) {
      if (frame.kind === 'ask') {
        void answer(frame.id, frame.name, frame.value)
        continue
      }
      const waiter = waiting.get(frame.id)
      waiting.delete(frame.id)
      if (frame.kind === 'done') waiter?.resolve(frame.value)
      else waiter?.reject(fromFault(frame.fault))
    }
  })

  return {
    ask: (name, value) =>
      new Promise((resolve, reject) => {
        if (isEnded) reject(new PipeEnded())
        else if (waiting.size >= maxWaiting) reject(new Error('too many questions wait'))
        else {
          const id = ++lastId
          waiting.set(id, { resolve, reject })
          put({ kind: 'ask', id, name, value })
        }
      }),
    tell: (name, value) => {
      put({ kind: 'ask', id: null, name, value })
    },
    end: () => {
      isEnded = true
      const left = [...waiting.values()]
      waiting.clear()
      for (const { reject } of left) reject(new PipeEnded())
    },
  }
}

function isBatch(message: unknown): message is readonly Arrived[] {
  return Array.isArray(message) && message.length <= maxFrames
}

function toFault(error: unknown): Fault {
  if (error instanceof AttestationError) {
    return { kind: 'attestation', code: error.code, detail: error.message }
  }
  const detail = error instanceof Error ? error.message : String(error)
  return { kind: error instanceof ConfigError ? 'config' : 'other', detail }
}

function fromFault(fault: Fault): Error {
  switch (fault.kind) {
    case 'attestation':
      return new AttestationError(fault.code, fault.detail)
    case 'config':
      return new ConfigError(fault.detail)
    case 'other':
      return new Error(fault.detail)
  }
}

/** The other process is not there any more. */
class PipeEnded extends Error {
  constructor() {
    super('the other process is gone')
    this.name = 'PipeEnded'
  }
}
