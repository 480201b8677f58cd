/** The one rule by which a name of a call is judged, wherever it is kept (spec/payment.md PA4.3, PA4.9). */
import type { Admission } from './admission.ts'

/** How a call that has a name stands. `credit`: it failed, and its payment was taken, or may be (PA4.4). */
export type NameState = 'running' | 'used' | 'credit'

/** A call that has a name. */
export type EarlierCall<S extends NameState = NameState> = {
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  readonly state: S
}

/** Another call has the name: it was answered, it runs, or it was another one. */
export type NamedAnswer =
  | { readonly kind: 'replay'; readonly receiptId: string }
  | {
      readonly kind: 'named'
      readonly code: 'idempotency-key-reused' | 'idempotency-key-in-progress'
    }

/** What an earlier call means for another one of its name. */
export type NamedElsewhere = NamedAnswer | { readonly kind: 'credit' }

/** Another request first: whoever made a mistake must not be told to wait. */
export function judgeName(
  earlier: EarlierCall<'running' | 'used'>,
  isSameRequest: boolean,
): NamedAnswer
export function judgeName(earlier: EarlierCall, isSameRequest: boolean): NamedElsewhere
export function judgeName({ callId, state }: EarlierCall, isSameRequest: boolean): NamedElsewhere {
  if (!isSameRequest) return { kind: 'named', code: 'idempotency-key-reused' }
  if (state === 'running') return { kind: 'named', code: 'idempotency-key-in-progress' }
  return state === 'used' ? { kind: 'replay', receiptId: callId } : { kind: 'credit' }
}

/** What the caller is told; a credit is no answer. */
export function answerNamed(named: NamedAnswer): Admission {
  if (named.kind === 'named') {
    return { kind: 'refused', refusal: { code: named.code, detail: '', headers: {} } }
  }
  return { kind: 'replay', receiptId: named.receiptId, whenGone: answerGone }
}

const answerGone = {
  code: 'answer-gone',
  detail: 'The call with this name has ended, and its answer is not kept any more.',
  headers: {},
} as const
