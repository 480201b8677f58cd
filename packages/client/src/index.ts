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
  ChannelOptions,
  CountersignFetchOptions,
  UnderlyingFetch,
  UnpaidOptions,
  WalletOptions,
} from './fetch-options.ts'
export { createChainReader, type ChainReader } from './chain/chain-reader.ts'
export type { PriceBounds } from './pay/advertised-prices.ts'
export type { Payee, PayeeCheck } from './pay/channel-book.ts'
export type { StateStore } from './pay/client-state.ts'
export type { PaymentSigner, PaymentTypedData } from './pay/sign-typed-data.ts'
export {
  baseSepoliaUsdc,
  baseUsdc,
  type AllowedAsset,
  type SpendingRule,
} from './pay/spending-limits.ts'
export type { VerifiedReceipt } from './receipt/verified-receipt.ts'
