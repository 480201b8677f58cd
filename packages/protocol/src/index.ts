/** Formats and verification of Countersign receipts. */
export {
  describeCode,
  describeError,
  errorCodes,
  ProtocolError,
  type ErrorCode,
  type ErrorFamily,
} from './errors.ts'
export { verify } from './verify/verify.ts'
export type { Held } from './verify/held-bytes.ts'
export type { Check, CheckStatus, Level, NotCheckedReason, Verdict } from './verify/verdict.ts'
export {
  checkIds,
  defaultPolicy,
  parsePolicy,
  productionPolicy,
  type CheckId,
  type Policy,
} from './verify/policy.ts'
export {
  encodeBundle,
  maxBundleBytes,
  parseBundle,
  type Bundle,
  type Evidence,
} from './verify/bundle.ts'
