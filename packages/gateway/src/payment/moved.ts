/** Whether a receipt shows that tokens moved. */
import {
  isAddressEqual,
  parseAbi,
  parseEventLogs,
  type Address,
  type TransactionReceipt,
} from 'viem'

const [transfer] = parseAbi([
  'event Transfer(address indexed from, address indexed to, uint256 value)',
])

/** A receipt with success is not enough: the token must say that the money moved (F7). */
export function isMoved(
  receipt: TransactionReceipt,
  asset: Address,
  {
    from,
    to,
    amountAtomic,
  }: { readonly from: Address; readonly to: Address; readonly amountAtomic: bigint },
): boolean {
  if (receipt.status !== 'success') return false
  const logs = receipt.logs.filter((log) => isAddressEqual(log.address, asset))
  return parseEventLogs({ abi: [transfer], logs }).some(
    ({ args }) =>
      isAddressEqual(args.from, from) && isAddressEqual(args.to, to) && args.value === amountAtomic,
  )
}
