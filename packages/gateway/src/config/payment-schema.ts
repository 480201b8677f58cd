/** The members of `payment` that stand for x402 schemes. */
import { z } from 'zod'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an address of 20 bytes in hex')
const milliseconds = z.int().min(1).max(86_400_000)
/** A whole number of atomic units that fits a channel. */
const atomic = z.string().regex(/^(?:0|[1-9][0-9]{0,37})$/, 'a whole number of atomic units')

/** What every x402 scheme says. */
const onChain = {
  network: z.string().regex(/^eip155:[1-9][0-9]{0,17}$/),
  asset: address,
  assetName: z.string().min(1).max(64),
  assetVersion: z.string().min(1).max(16),
  payTo: address.describe('Where payments go; no other gateway with its own ledger may use it.'),
  rpcUrl: z.url({ protocol: /^https?$/ }),
  confirmations: z.int().min(1).max(1000).default(1),
}

/** `payment.chain`: how the chain of all x402 schemes is read and written (spec/payment.md PA29). */
export const chainSchema = z.strictObject({
  otherNodes: z
    .array(z.url({ protocol: /^https?$/ }))
    .max(6)
    .default([])
    .describe('Nodes that are asked beside rpcUrl.'),
  agree: z
    .int()
    .min(1)
    .max(7)
    .optional()
    .describe('How many nodes must say the same: more than half, which is the default.'),
  finalDepth: z
    .int()
    .min(1)
    .max(100_000)
    .default(32)
    .describe('Settlements are followed until their block is this deep; 1 follows none.'),
  maxFeePerGasGwei: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(500)
    .describe('The most that is offered for a unit of gas.'),
  maxTipPerGasGwei: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(50)
    .describe('What of it may go to whoever makes the block.'),
  strangersPerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(6000)
    .describe('Payments a minute, of payers of whom nothing is known, that are looked up in vain.'),
  strangersPerAddress: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(600)
    .describe('The same of one address, IPv6 by its first 64 bits.'),
})

/** `payment.collect`: what was paid is brought to the operator (spec/payment.md PA31). */
export const collectSchema = z.strictObject({
  minAtomic: z
    .string()
    .regex(/^[1-9][0-9]{0,37}$/, 'a whole number of atomic units above 0')
    .describe('No transaction moves less, unless it has waited for maxWaitHours.'),
  minIntervalMinutes: z
    .int()
    .min(0)
    .max(10_080)
    .default(60)
    .describe('For each payTo, settle and forward are each sent once in this time at most.'),
  maxWaitHours: z
    .int()
    .min(1)
    .max(8760)
    .optional()
    .describe('What is less than minAtomic is collected after so long; never when absent.'),
  maxGasPerDay: z
    .int()
    .min(300_000)
    .max(1_000_000_000)
    .default(7_200_000)
    .describe('Units of gas a day (UTC); each transaction counts 150,000.'),
  maxGasPriceGwei: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(50)
    .describe('While a unit of gas costs more, nothing is collected.'),
})

/** `payment.upto`. */
export const uptoSchema = z.strictObject({
  ...onChain,
  settler: address.describe('UptoSettler of this gateway: facilitatorAddress of its offers.'),
  maxTimeoutSeconds: z
    .int()
    .min(30)
    .max(86_400)
    .default(7300)
    .describe('How long a signed maximum holds; a call and its settlement have half of it.'),
  maxExposureAtomic: atomic
    .default('10000000')
    .describe('The most that one payer may owe at once, failed settlements included.'),
  maxTotalExposureAtomic: atomic
    .default('1000000000')
    .describe('The most that all payers together may owe at once: addresses cost nothing.'),
  maxUnsettledPayments: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('Payments that may be running or not on chain at once, all payers together.'),
})

/** `payment.batchSettlement`. */
export const batchSettlementSchema = z.strictObject({
  ...onChain,
  receiverAuthorizer: address.describe('ChannelAuthorizer of this gateway.'),
  maxTimeoutSeconds: z.int().min(10).max(86_400).default(600),
  withdrawDelaySeconds: z
    .int()
    .min(900)
    .max(2_592_000)
    .default(86_400)
    .describe('How long a payer waits for its deposit when the gateway does not answer.'),
  minDepositAtomic: atomic.default('100000'),
  maxRunningCalls: z
    .int()
    .min(1)
    .max(256)
    .default(64)
    .describe('Calls at a time on a channel with unique ceilings.'),
  maxUnclaimedAtomic: atomic
    .default('1000000')
    .describe('A channel that owes this much is claimed.'),
  maxTotalUnclaimedAtomic: atomic
    .default('100000000')
    .describe('When all channels together owe this much, all are claimed.'),
  depositTimeoutMs: milliseconds.default(30_000).describe('How long a call waits for its deposit.'),
})

/** `payment.operator`: what GET /v1/terms announces. */
export const operatorSchema = z
  .strictObject({
    gatewayId: z
      .string()
      .regex(/^0x[0-9a-fA-F]{64}$/, '32 bytes in hex')
      .describe('Names this gateway in the key registry.'),
    payeeOwner: address.describe('First owner of the payee contract.'),
    proposers: z
      .array(address)
      .min(1)
      .max(32)
      .describe('Who announces keys, in the order in which the timelock was built.'),
    guardian: address.describe('Who may revoke keys.'),
    minDelaySeconds: z
      .int()
      .min(0)
      .max(1_000_000_000)
      .describe('Delay of the timelock: how long everybody sees a key before it counts.'),
    fromBlock: z
      .int()
      .min(0)
      .default(0)
      .describe('A block at or before the deployment of the timelock.'),
  })
  .describe('Contracts of upto and batchSettlement, as payers compute and judge them.')
