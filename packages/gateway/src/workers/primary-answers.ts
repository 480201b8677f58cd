/** What the primary answers a worker. */
import { confirmationContexts } from '@countersign/protocol/receipt/key-confirmation'
import type { Commons } from '../create-gateway.ts'
import type { OwnSealedKeys } from '../keys/sealed-keys.ts'
import type { KeysetTurns } from './keyset-turns.ts'
import type { Member } from './member.ts'
import type { OwedReceipts } from './owed-receipts.ts'
import type { Answers } from './pipe.ts'
import type { PrimaryQuestions, WorkerQuestions } from './questions.ts'

/** What exists once. */
export type PrimaryParts = {
  readonly commons: Pick<Commons, 'payment' | 'attester'>
  readonly turns: KeysetTurns<Member>
  readonly owed: OwedReceipts<Member>
  /** Only its memory against replays is used. */
  readonly sealed: OwnSealedKeys
  /** Workers that serve. */
  readonly serving: () => readonly Member[]
  readonly renderMetrics: () => Promise<string>
}

const keysetAndNonceBytes = 64

/** The answers for one worker. */
export function createPrimaryAnswers(
  { commons, turns, owed, sealed, serving, renderMetrics }: PrimaryParts,
  member: Member,
): Answers<PrimaryQuestions> {
  const { payment, attester } = commons
  return {
    ...member.desk.answers,
    hello: () => {
      member.greet()
    },
    identify: (headers) => payment.scheme.identify({ ...headers }),
    refund: (header) => {
      if (payment.refunds === undefined) throw new Error('there are no refunds')
      return payment.refunds.answer(header)
    },
    confirmSettlement: ({ address, message }) => {
      const { settlement } = payment
      // The settlement key signs nothing else for a worker.
      const context = Buffer.from(confirmationContexts.settlement)
      const isConfirmation =
        message.length === context.length + keysetAndNonceBytes &&
        Buffer.compare(message.subarray(0, context.length), context) === 0
      if (settlement === undefined || !isConfirmation) {
        throw new Error('this is no confirmation of a key')
      }
      return settlement.confirm(address, message)
    },
    attest: ({ reportData, nowMs }) => attester.attest(reportData, nowMs),
    takeTurn: async ({ nowMs, notAfterMs }) => {
      const turn = await turns.take(member, nowMs, notAfterMs)
      return { ...turn, settlement: payment.settlement?.named() }
    },
    turnDone: (isStored) => turns.end(member, isStored),
    keysetShown: (names) => {
      // One that leaves takes no new call: its keyset is a former one.
      if (member.state !== 'leaving') payment.chargeKeys?.shown(member, names)
    },
    takeSealed: ({ encapsulated, nowMs }) => sealed.take(encapsulated, nowMs),
    findReceipt: (lookup) => findElsewhere(serving(), member, 'findReceipt', lookup),
    findAnswer: (lookup) => findElsewhere(serving(), member, 'findAnswer', lookup),
    metrics: renderMetrics,
    owedStored: (callId) => {
      owed.stored(callId)
    },
  }
}

/** Asks all other workers; the first that has it decides. */
async function findElsewhere<K extends 'findReceipt' | 'findAnswer'>(
  serving: readonly Member[],
  asker: Member,
  name: K,
  lookup: WorkerQuestions[K]['ask'],
): Promise<WorkerQuestions[K]['answer']> {
  const others = serving.filter((other) => other !== asker)
  const found = Promise.withResolvers<WorkerQuestions[K]['answer']>()
  const asked = others.map(async ({ pipe }) => {
    // Who dies meanwhile has nothing to give.
    const answer = await pipe.ask(name, lookup).catch(() => undefined)
    if (answer !== undefined) found.resolve(answer)
  })
  return await Promise.race([found.promise, Promise.all(asked).then(() => undefined)])
}
