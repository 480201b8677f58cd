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

/** What a transaction moved of a token away from this account; 0 where it failed. */
export function movedAtomic(receipt: TransactionReceipt, asset: Address, from: Address): bigint {
  return transfersIn(receipt, asset)
    .filter(({ args }) => isAddressEqual(args.from, from))
    .reduce((sum, { args }) => sum + args.value, 0n)
}

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
  return transfersIn(receipt, asset).some(
    ({ args }) =>
      isAddressEqual(args.from, from) && isAddressEqual(args.to, to) && args.value === amountAtomic,
  )
}

function transfersIn(
  { status, logs }: TransactionReceipt,
  asset: Address,
): ReturnType<typeof parseEventLogs<[typeof transfer]>> {
  if (status !== 'success') return []
  return parseEventLogs({
    abi: [transfer],
    logs: logs.filter((log) => isAddressEqual(log.address, asset)),
  })
}
