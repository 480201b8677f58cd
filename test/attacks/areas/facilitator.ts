/** T38–T43: whoever sends the transactions. */
import { encodeAbiParameters } from 'viem'
import type { Driver } from '../drivers/driver.ts'
import {
  demand,
  isServed,
  notApplicable,
  notRun,
  passed,
  tally,
  type Attack,
  type Context,
  type Outcome,
} from '../attack.ts'
import { createChannelPayer } from '../payers/channel-payer.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { encodePayment, signatureOf, withSignature, type Payment } from '../wire.ts'
import { demandStillGood, refusedAll } from './binding.ts'
import { revertSettlement } from './moody-token.ts'
import { openByCall } from './open-by-call.ts'
import { loseFirst, loseSettlements } from './settled-later.ts'

/** T38: a transaction that was lost holds up no other. */
export const loseTransaction: Attack = async (context) => {
  const { driver, scheme } = context
  if (driver === undefined) return notRun('needs control of the chain (driver)')
  const lost =
    scheme === 'exact' ? await loseOne(context, driver) : await loseSettlements(context, driver)
  if (lost.kind !== 'passed') return lost
  const reverted = await revertSettlement(context)
  return reverted.kind === 'passed'
    ? passed(`${lost.detail}; ${reverted.detail}`, ...lost.without, ...reverted.without)
    : reverted
}

async function loseOne(context: Context, driver: Driver): Promise<Outcome> {
  const payment = await context.pay()
  let lost = 0
  driver.rpcRule = loseFirst(() => lost++)
  const first = await context.send(payment)
  driver.rpcRule = undefined
  demand(lost > 0, 'no transaction was sent')
  const others = []
  for (let count = 0; count < 3; count++) others.push(await context.send(await context.pay()))
  demand(others.every(isServed), `after one lost transaction others failed: ${tally(others)}`)
  return passed(`one transaction lost: its call ${tally([first])}, others ${tally(others)}`)
}

/** T39: many settlements of one payment. */
export const settleOften: Attack = async (context) => {
  const { driver, scheme } = context
  if (driver === undefined) return notRun('needs to see what the server broadcasts (driver)')
  if (scheme === 'batch-settlement') return notApplicable('vouchers are not settled one by one')
  const payment = await context.pay()
  const count = Math.min(20, context.repeats)
  const { answers } = await context.observe(() =>
    Promise.all(Array.from({ length: count }, () => context.send(payment))),
  )
  const broadcasts = (): readonly string[] => broadcastsOf(driver, payment)
  await until(() => broadcasts().length > 0, 5000)
  const raw = new Set(broadcasts())
  demand(raw.size === 1, `${raw.size} transactions for one payment: ${tally(answers)}`)
  return passed(`${count} at once: ${raw.size} transaction; ${tally(answers)}`)
}

const magic = '6492649264926492649264926492649264926492649264926492649264926492'

/** T41: a signature that asks the verifier to call a contract of the attacker's choice first. */
export const nameFactory: Attack = async (context) => {
  const { driver } = context
  const good = await context.pay()
  const inner = signatureOf(await context.pay(undefined, { forged: true }))
  const wrapped = encodeAbiParameters(
    [{ type: 'address' }, { type: 'bytes' }, { type: 'bytes' }],
    [`0x${'ca11'.repeat(10)}`, '0xdeadbeef', `0x${inner.slice(2)}`],
  )
  const before = broadcastsOf(driver, good).length
  const payment = encodePayment(withSignature(good, `${wrapped}${magic}`))
  await refusedAll(context, 'an ERC-6492 signature with a factory', () => [context.send(payment)])
  const sent = broadcastsOf(driver, good).length - before
  demand(sent === 0, `${sent} transactions were sent for it`)
  await demandStillGood(context, good)
  return passed('a factory of the caller: refused, nothing sent; the plain signature was served')
}

/** Transactions that carry the nonce of a payment. */
function broadcastsOf(driver: Driver | undefined, { payload }: Payment): readonly string[] {
  const { nonce: exact } = Object(payload['authorization'])
  const { nonce: upto } = Object(payload['permit2Authorization'])
  if (exact === undefined && upto === undefined) return []
  const word = BigInt(exact ?? upto)
    .toString(16)
    .padStart(64, '0')
  return driver?.broadcasts().filter((raw) => raw.includes(word)) ?? []
}

/** T43: one voucher that nobody can claim, beside good ones. */
export const poisonBatch: Attack = async (context) => {
  const { driver, scheme, rpcUrl } = context
  if (scheme !== 'batch-settlement') return notApplicable('nothing is settled in batches')
  if (driver === undefined) return notRun('needs payers of its own (driver)')
  const [poor, good] = await Promise.all([driver.createPayerKey(), driver.createPayerKey()])
  const poisoner = createChannelPayer(poor, 20_000n)
  const poisonable = await openByCall(context, poisoner)
  const { id: first } = poisoner.channelOf(poisonable.accepted)
  const claims = await until(async () => (await readChannel(rpcUrl, first)).claimed > 0n)
  if (!claims) return notRun('the server claims nothing within 20 s')
  // v of 0 or 1: some verifiers take it, the contract never does.
  const bad = await poisoner.sign(await context.quote())
  const signature = signatureOf(bad)
  const v = Number.parseInt(signature.slice(130), 16) - 27
  const poisoned = withSignature(bad, `${signature.slice(0, 130)}0${v}`)
  const taken = await context.send(encodePayment(poisoned))
  const payer = createChannelPayer(good, 20_000n)
  const { id } = payer.channelOf((await openByCall(context, payer)).accepted)
  const isClaimed = await until(
    async () => (await readChannel(rpcUrl, id)).claimed >= payer.chargedAtomic(),
  )
  const how = isServed(taken) ? 'was served' : 'was refused'
  demand(isClaimed, `the bad voucher ${how}, and the good channel was not claimed within 20 s`)
  return passed(`the bad voucher ${how}; the good channel was claimed`)
}
