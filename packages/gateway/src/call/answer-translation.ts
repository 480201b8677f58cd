/** The way back of a translated call: a type of its own, so that what forwards and what translates need not know one another. */
import type { Adapter } from '../translation/adapters.ts'
import type { StreamTranslator } from '../translation/translate-answer.ts'

/** What the answer of a translated call goes through. */
export type AnswerTranslation = {
  readonly adapter: Adapter
  /** In place of the caller's: they belong to another wire. */
  readonly headers: Readonly<Record<string, string>>
  /** What the caller asked for: an answer of the other form is none. */
  readonly isStream: boolean
  /** @throws AnswerNotTranslatable */
  whole(body: Buffer): Promise<Buffer>
  stream(write: (bytes: Buffer) => boolean): StreamTranslator
  error(status: number, body: Buffer): Buffer
}
