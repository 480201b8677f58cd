/** Exit codes of the command line. The first three are the verdict; the others are those of sysexits.h. */
export const exitCodes = {
  ok: 0,
  invalid: 1,
  incomplete: 2,
  usage: 64,
  noInput: 66,
  unavailable: 69,
  internal: 70,
  cannotCreate: 73,
  interrupted: 130,
} as const

/** An exit code. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]
