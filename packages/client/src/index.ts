/** SDK of Countersign: a `fetch` that pays, and verifies what it is given. Uses web APIs only. */
export { countersignFetch, type CountersignFetch } from './countersign-fetch.ts'
export {
  ClientError,
  clientErrorCodes,
  describeClientError,
  ReceiptError,
  type ClientErrorCode,
  type ClientErrorFamily,
} from './errors.ts'
export type {
  ApiKeyOptions,
  CountersignFetchOptions,
  UnderlyingFetch,
  UnpaidOptions,
  WalletOptions,
} from './fetch-options.ts'
export { baseSepoliaUsdc, baseUsdc, type AllowedAsset } from './pay/spending-limits.ts'
export type { PaymentSigner, TransferTypedData } from './pay/transfer-authorization.ts'
export type { VerifiedReceipt } from './receipt/verified-receipt.ts'
