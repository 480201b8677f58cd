/** What the estimator and its worker say to one another. */

/** What goes to the worker. */
export type EstimateJob = {
  readonly id: number
  readonly request: Uint8Array<ArrayBuffer>
  readonly answer: Uint8Array<ArrayBuffer>
  readonly isStream: boolean
}

/** What comes back. A request that is no JSON has no tokens of text. */
export type EstimateAnswer = {
  readonly id: number
  readonly input: {
    readonly tokens: number
    readonly messages: number
    readonly attachments: number
  }
  readonly outputTokens: number
}
