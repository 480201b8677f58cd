/** Group commit: what is appended while one group is being synced goes into the next (spec/payment.md PA20). */
import { setTimeout as setTimer } from 'node:timers'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { decodeFrames, encodeFrame } from './journal-frame.ts'
import { createPace, type Pace } from './journal-pace.ts'
import { createSegment, fillWithZeros, type Segment } from './journal-segment.ts'
import type { JournalStorage } from './journal-storage.ts'

/** An open journal. */
export type Journal = {
  /**
   * Takes a record into the next group, which begins soon, or with `unhurried` some time after: nothing is lost without
   * it. @throws the fault that broke the journal.
   */
  append(line: string, unhurried?: 'unhurried'): void
  /** Resolves when every record appended so far is on the disk; rejects when the journal broke. */
  durable(): Promise<void>
  /** Writes what is left and closes the files. */
  close(): Promise<void>
}

/** How a journal is kept. */
export type JournalOptions = {
  readonly storage: JournalStorage
  /** Under load groups begin at most this often: a longer interval costs latency, a shorter one CPU. */
  readonly intervalMs: number
  /** A segment that has grown by so much is replaced by one that begins with a checkpoint. */
  readonly segmentBytes: number
  /** Records that make the state at the moment of the call, whenever they are read. */
  readonly dump: () => Iterable<string>
  /** Called once when the disk failed. Must end the process: nobody knows what is on the disk (PA20.3). */
  readonly onFault: (error: unknown) => void
}

/** What an earlier process left. */
export type JournalFound = {
  /** Records of the newest checkpoint and all after it, in order. */
  readonly lines: readonly string[]
  /** A torn last group was dropped: nothing that depended on it was released. */
  readonly torn: boolean
  /** Goes on writing. Call it when the records have been applied. */
  open(): Promise<Journal>
}

/**
 * Reads what is there.
 *
 * @throws JournalDamaged for a file that no crash explains.
 */
export async function findJournal(options: JournalOptions): Promise<JournalFound> {
  const { storage, segmentBytes } = options
  const segments = await storage.list()
  const newest = segments.at(-1)
  if (newest === undefined) {
    return {
      lines: [],
      torn: false,
      open: async () => {
        const segment = await createSegment(storage, 1, 0, options.dump(), segmentBytes)
        await storage.publish(segment.number)
        return createJournal(options, segment)
      },
    }
  }
  const bytes = await storage.read(newest)
  const { payloads, checkpointEnd, endOffset, lastSequence, torn } = decodeFrames(bytes)
  return {
    lines: payloads.flatMap(toLines),
    torn,
    open: async () => {
      const file = await storage.open(newest)
      if (torn) {
        // The rest of a torn group must never be taken for a part of a later one.
        await fillWithZeros(file, endOffset, bytes.length)
        await file.sync()
      }
      // A crash between the birth of a segment and the end of its predecessor left both.
      await Promise.all(segments.slice(0, -1).map((segment) => storage.remove(segment)))
      const beginOffset = checkpointEnd
      return createJournal(options, { number: newest, file, beginOffset, endOffset, lastSequence })
    },
  }
}

/** How long a record may wait that nobody waits for. */
const unhurriedMs = 20

type Group = {
  readonly lines: string[]
  readonly done: PromiseWithResolvers<void>
  /** Something in it has no time. */
  isHurried: boolean
}

/** A checkpoint that is being written, and the groups that were synced meanwhile. */
type Rotation = { readonly next: Promise<Segment>; readonly frames: Uint8Array[]; ready: boolean }

/** Everything mutable is owned by the one flush that runs at a time, but for what `append` adds to. */
type State = {
  readonly options: JournalOptions
  segment: Segment
  rotation: Rotation | undefined
  gathering: Group | undefined
  writing: Group | undefined
  flushing: Promise<void> | undefined
  /** Runs while only records wait that have time. */
  unhurried: NodeJS.Timeout | undefined
  readonly pace: Pace
  broken: { readonly error: unknown } | undefined
}

function createJournal(options: JournalOptions, segment: Segment): Journal {
  const state: State = {
    options,
    segment,
    rotation: undefined,
    gathering: undefined,
    writing: undefined,
    flushing: undefined,
    unhurried: undefined,
    pace: createPace(options.intervalMs, readIdleMs),
    broken: undefined,
  }
  return {
    append: (line, unhurried) => {
      if (state.broken !== undefined) throw state.broken.error
      state.gathering ??= createGroup()
      state.gathering.lines.push(line)
      if (unhurried === undefined) hurry(state)
      else state.unhurried ??= setTimer(endPatience, unhurriedMs, state)
    },
    durable: () => {
      if (state.broken !== undefined) return Promise.reject(state.broken.error)
      state.pace.awaited(performance.now())
      hurry(state)
      return (state.gathering ?? state.writing)?.done.promise ?? Promise.resolve()
    },
    close: async () => {
      clearTimeout(state.unhurried)
      hurry(state)
      await state.flushing
      const next = await state.rotation?.next.catch(() => undefined)
      await next?.file.close()
      await state.segment.file.close()
    },
  }
}

function readIdleMs(): number {
  return performance.nodeTiming.idleTime
}

function createGroup(): Group {
  const done = Promise.withResolvers<void>()
  // Whoever waits gets the rejection; the process ends by onFault if nobody does.
  done.promise.catch(() => undefined)
  return { lines: [], done, isHurried: false }
}

function endPatience(state: State): void {
  state.unhurried = undefined
  hurry(state)
}

function hurry(state: State): void {
  if (state.gathering === undefined) return
  state.gathering.isHurried = true
  state.flushing ??= flush(state)
}

/** Writes groups until nothing is left that has no time. Never rejects. */
async function flush(state: State): Promise<void> {
  try {
    while (state.gathering?.isHurried === true) {
      await waitForTurn(state)
      if (state.rotation?.ready === true) await switchSegment(state, state.rotation)
      await writeGroup(state)
    }
  } catch (error) {
    fail(state, error)
  }
  state.flushing = undefined
}

async function waitForTurn(state: State): Promise<void> {
  const waitMs = state.pace.waitMs(performance.now())
  // Also a group that may start at once takes what the rest of this turn appends.
  await (waitMs > 0.5 ? setTimeout(waitMs) : setImmediate())
  state.pace.began(performance.now())
}

async function writeGroup(state: State): Promise<void> {
  const { gathering: group, segment, rotation: earlier } = state
  if (group === undefined) return
  state.gathering = undefined
  state.writing = group
  const lastSequence = segment.lastSequence + 1
  const frame = encodeFrame(lastSequence, Buffer.from(group.lines.join('\n')))
  // At this moment the state includes this group and nothing later.
  if (earlier === undefined && isFull(state)) beginRotation(state, lastSequence)
  await segment.file.writeDurably(frame, segment.endOffset)
  earlier?.frames.push(frame)
  state.segment = { ...segment, endOffset: segment.endOffset + frame.length, lastSequence }
  state.writing = undefined
  group.done.resolve()
}

function isFull({ segment, options }: State): boolean {
  return segment.endOffset - segment.beginOffset >= options.segmentBytes
}

function beginRotation(state: State, sequence: number): void {
  const { storage, dump, segmentBytes } = state.options
  const number = state.segment.number + 1
  // Room for what comes while the next checkpoint is being written.
  const next = createSegment(storage, number, sequence, dump(), segmentBytes * 2)
  const rotation: Rotation = { next, frames: [], ready: false }
  state.rotation = rotation
  void finishRotation(state, rotation)
}

async function finishRotation(state: State, rotation: Rotation): Promise<void> {
  try {
    await rotation.next
    rotation.ready = true
  } catch (error) {
    fail(state, error)
  }
}

/** Both segments hold the same when the new one gets its name: a crash on either side of that loses nothing. */
async function switchSegment(state: State, { next, frames }: Rotation): Promise<void> {
  const { storage } = state.options
  const created = await next
  const old = state.segment
  const tail = Buffer.concat(frames)
  await created.file.write(tail, created.endOffset)
  await created.file.sync()
  await storage.publish(created.number)
  const endOffset = created.endOffset + tail.length
  state.segment = { ...created, endOffset, lastSequence: old.lastSequence }
  state.rotation = undefined
  await old.file.close()
  await storage.remove(old.number)
}

function fail(state: State, error: unknown): void {
  if (state.broken === undefined) {
    state.broken = { error }
    state.options.onFault(error)
  }
  state.writing?.done.reject(error)
  state.gathering?.done.reject(error)
  state.gathering = undefined
}

function toLines(payload: Uint8Array): readonly string[] {
  return payload.length === 0 ? [] : Buffer.from(payload).toString('utf8').split('\n')
}
