/** What the estimator and its worker say to one another. */

/** What goes to the worker. */
export type EstimateJob = {
  readonly id: number
  readonly request: Uint8Array<ArrayBuffer>
  readonly answer: Uint8Array<ArrayBuffer>
  readonly isStream: boolean
}

/** What comes back. */
export type EstimateAnswer = {
  readonly id: number
  readonly inputBytes: number
  readonly attachments: number
  readonly outputBytes: number
}
