/** What a caller gets of a statement that was signed. */

/** A statement on its way to the caller. */
export type IssuedReceipt = {
  readonly idHex: string
  readonly token: string
  /** Unpadded base64url (RC6.2). */
  readonly statement: string
}
