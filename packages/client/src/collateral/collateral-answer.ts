/** What a service of a vendor answered. */

/** An answer of status 200. Names of headers are in lower case. */
export type CollateralAnswer = {
  readonly body: Uint8Array
  readonly header: (name: string) => string | null
}
