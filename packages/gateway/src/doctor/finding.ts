/** What the doctor found out about one thing. */

/** `warning`: the gateway runs, and somebody should look at it. `skipped`: could not be tried, for the reason given. */
export type FindingStatus = 'ok' | 'warning' | 'failed' | 'skipped'

/** One line of the report. No secret and no text of a provider is in it. */
export type Finding = {
  /** What was looked at: `upstream openai key`. */
  readonly check: string
  readonly status: FindingStatus
  readonly message: string
  /** What to do about it; empty where there is nothing to do. */
  readonly hint: string
}

/** Takes findings in the order in which they belong together. */
export type Findings = {
  ok(check: string, message: string): void
  warning(check: string, message: string, hint: string): void
  failed(check: string, message: string, hint: string): void
  skipped(check: string, message: string): void
  readonly all: readonly Finding[]
}

/** An empty list; `subject` stands before each check. */
export function createFindings(subject: string): Findings {
  const all: Finding[] = []
  const add = (status: FindingStatus, check: string, message: string, hint: string): void => {
    all.push({ check: subject === '' ? check : `${subject} ${check}`, status, message, hint })
  }
  return {
    ok: (check, message) => {
      add('ok', check, message, '')
    },
    warning: (check, message, hint) => {
      add('warning', check, message, hint)
    },
    failed: (check, message, hint) => {
      add('failed', check, message, hint)
    },
    skipped: (check, message) => {
      add('skipped', check, message, '')
    },
    all,
  }
}

/** The code of a system or network error, or its kind: messages of others are not repeated. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'error'
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.cause === undefined ? error.name : codeOf(error.cause)
}
