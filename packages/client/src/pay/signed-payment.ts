/** A payment of any scheme. */
import type { SignedVoucher } from './channel-payer.ts'
import type { PaymentBinding } from './payment-header.ts'
import type { ChannelOffer, ExactOffer, UptoOffer } from './payment-required.ts'
import type { Reservation } from './spending-ledger.ts'

/** A payment as it is shown to the gateway. Signed money: whoever has it can use it, within what it says. */
export type SignedPayment = {
  /** Value of PAYMENT-SIGNATURE. */
  readonly header: string
  /** What the receipt names it by: 32 bytes. */
  readonly paymentId: Uint8Array
  readonly binding: PaymentBinding
} & (
  | { readonly scheme: 'exact'; readonly offer: ExactOffer }
  | { readonly scheme: 'upto'; readonly offer: UptoOffer; readonly reservation: Reservation }
  | {
      readonly scheme: 'batch-settlement'
      readonly offer: ChannelOffer
      readonly voucher: SignedVoucher
    }
)
