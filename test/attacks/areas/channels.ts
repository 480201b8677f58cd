/** T23, T24 and T26–T30: what only channels have, and signatures that only some accept. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sendFrom } from '../drivers/accounts.ts'
import {
  demand,
  isServed,
  notApplicable,
  notRun,
  passed,
  tally,
  type Attack,
  type Context,
} from '../attack.ts'
import {
  createChannelPayer,
  type ChannelConfig,
  type ChannelPayer,
} from '../payers/channel-payer.ts'
import { contracts } from '../payers/sign-typed.ts'
import { readChannel } from '../read-chain.ts'
import { until } from '../waiting.ts'
import { encodePayment, signatureOf, withSignature, type Offer } from '../wire.ts'
import { demandStillGood, refusedAll } from './binding.ts'
import { openByCall } from './open-by-call.ts'

/** Refunds are asked for by GET: stock clients do. */
const get = { method: 'GET' }

const noChannel = notApplicable('there are no channels')

const withdrawAbi = [
  {
    type: 'function',
    name: 'initiateWithdraw',
    stateMutability: 'nonpayable',
    inputs: [
      {
        name: 'config',
        type: 'tuple',
        components: [
          { name: 'payer', type: 'address' },
          { name: 'payerAuthorizer', type: 'address' },
          { name: 'receiver', type: 'address' },
          { name: 'receiverAuthorizer', type: 'address' },
          { name: 'token', type: 'address' },
          { name: 'withdrawDelay', type: 'uint40' },
          { name: 'salt', type: 'bytes32' },
        ],
      },
      { name: 'amount', type: 'uint128' },
    ],
    outputs: [],
  },
] as const

/** T23: the payer asks for its money back while it goes on calling. */
export const withdrawMidstream: Attack = async (context) => {
  const { driver, scheme, rpcUrl } = context
  if (scheme !== 'batch-settlement') return noChannel
  if (driver === undefined) return notRun('needs a payer with gas (driver)')
  const key = await driver.createPayerKey()
  const { payer, offer } = await openChannel(context, key)
  const charged = payer.chargedAtomic()
  const { config, id } = payer.channelOf(offer)
  await withdraw(rpcUrl, key, config, 20_000n - charged)
  // The server follows the chain in its own time, but it must: vouchers are refused soon.
  let executed = 0
  const isRefused = await until(async () => {
    const { answers, executions } = await context.observe(async () => {
      const answer = await context.send(await payer.sign(await context.quote()))
      payer.hear(answer)
      return [answer]
    })
    executed += executions
    return answers.every((answer) => !isServed(answer))
  }, 30_000)
  demand(isRefused, `${executed} calls were served while a withdrawal was pending`)
  const owed = payer.chargedAtomic()
  const isClaimed = await until(async () => (await readChannel(rpcUrl, id)).claimed >= owed)
  demand(isClaimed, `${owed} was charged and not claimed while the withdrawal ran`)
  return passed(`${executed} calls until it was noticed, then refused; ${owed} claimed in time`)
}

async function withdraw(
  rpcUrl: string,
  key: `0x${string}`,
  config: ChannelConfig,
  amountAtomic: bigint,
): Promise<void> {
  await sendFrom(rpcUrl, key, {
    address: contracts.batch,
    abi: withdrawAbi,
    functionName: 'initiateWithdraw',
    args: [config, amountAtomic],
  })
}

/** T26: two refunds at once, for the same money. */
export const raceRefunds: Attack = async (context) => {
  const { driver, scheme, rpcUrl } = context
  if (scheme !== 'batch-settlement') return noChannel
  if (driver === undefined) return notRun('needs a payer of its own (driver)')
  const { payer, offer } = await openChannel(context, await driver.createPayerKey())
  const charged = payer.chargedAtomic()
  const desk = driver.requests.refund
  if (desk === undefined) return notRun('no place for refunds is known')
  const quote = await context.quote(desk, get)
  const amount = (20_000n - charged) / 2n + 1n
  const refunds = await Promise.all(
    [amount, amount + 1n].map((each) => payer.signRefund(quote, each, 0n)),
  )
  const { answers, executions } = await context.observe(() =>
    Promise.all(refunds.map((each) => context.send(each, desk, get))),
  )
  demand(executions === 0, 'a refund ran a call')
  const { id } = payer.channelOf(offer)
  await until(async () => (await readChannel(rpcUrl, id)).balance < 20_000n)
  const again = await context.send(refunds[0], desk, get)
  const { balance, claimed } = await readChannel(rpcUrl, id)
  demand(claimed === charged || claimed === 0n, `claimed ${claimed}, charged ${charged}`)
  demand(balance >= charged, `the channel holds ${balance}, less than the ${charged} charged`)
  demand(balance < 20_000n, `no refund came through: ${tally([...answers, again])}`)
  // Only a refund that names its nonce can be told from a second wish for money.
  const names = Object.keys(refunds[0]?.extensions ?? {})
  const isSigned = names.includes('countersign-refund')
  demand(!isSigned || balance >= 20_000n - amount - 1n, 'both refunds of one nonce were paid')
  return passed(
    `two refunds at once: ${20_000n - balance} given back, ${charged} kept; ${tally([...answers, again])}`,
  )
}

/** T27: vouchers of a channel that was emptied. */
export const useDrained: Attack = async (context) => {
  const { driver, scheme, rpcUrl } = context
  if (scheme !== 'batch-settlement') return noChannel
  if (driver === undefined) return notRun('needs a payer of its own (driver)')
  const { payer, offer } = await openChannel(context, await driver.createPayerKey())
  const quote = await context.quote()
  const next = await payer.sign(quote)
  const left = 20_000n - payer.chargedAtomic()
  const desk = driver.requests.refund
  if (desk === undefined) return notRun('no place for refunds is known')
  const refund = await payer.signRefund(await context.quote(desk, get), left, 0n)
  const answer = await context.send(refund, desk, get)
  const { id } = payer.channelOf(offer)
  const isDrained = await until(async () => (await readChannel(rpcUrl, id)).balance < 20_000n)
  demand(isDrained, `the refund of everything was not paid: ${tally([answer])}`)
  await refusedAll(context, 'a voucher of an emptied channel', () => [context.send(next)])
  return passed('a voucher signed before the channel was emptied: refused')
}

/** T28: signatures and ceilings that the contract would refuse. */
export const forgeVouchers: Attack = async (context) => {
  const good = await context.pay()
  const signature = signatureOf(good)
  const changed: [string, string][] = [
    ['the other v', encodePayment(withSignature(good, otherV(signature)))],
    ['64 bytes', encodePayment(withSignature(good, signature.slice(0, -2)))],
    ['no bytes', encodePayment(withSignature(good, '0x'))],
    ['a stranger', encodePayment(await context.pay(undefined, { forged: true }))],
  ]
  // Of `upto` any spelling that settles is as good as another: the nonce makes them one payment.
  if (context.scheme !== 'upto') {
    changed.push(['v of 0 or 1', encodePayment(withSignature(good, withV(signature, -27)))])
    changed.push(['high s', encodePayment(withSignature(good, highS(signature)))])
  }
  if (context.scheme === 'batch-settlement') {
    const next = BigInt(String(Object(good.payload['voucher']).maxClaimableAmount))
    for (const [name, ceilingAtomic] of [
      ['lower', next - 1n],
      ['equal to C', next - BigInt(good.accepted.amount)],
      ['a gap', next + 1n],
    ] as const) {
      changed.push([name, encodePayment(await context.pay(undefined, { ceilingAtomic }))])
    }
    const { channelConfig } = good.payload
    const noAuthorizer = { ...Object(channelConfig), payerAuthorizer: `0x${'0'.repeat(40)}` }
    const contractWallet = { ...good, payload: { ...good.payload, channelConfig: noAuthorizer } }
    changed.push(['EIP-1271', encodePayment(contractWallet)])
  }
  for (const [name, header] of changed) {
    await refusedAll(context, `a payment with ${name}`, () => [context.send(header)])
  }
  await demandStillGood(context, good)
  return passed(`${changed.map(([name]) => name).join(', ')}: refused; the good one was served`)
}

/** T29: vouchers that overlap. */
export const overlapVouchers: Attack = async (context) => {
  const { driver, scheme, rpcUrl } = context
  if (scheme !== 'batch-settlement') return noChannel
  if (driver === undefined) return notRun('needs a payer of its own (driver)')
  const { payer, offer } = await openChannel(context, await driver.createPayerKey())
  const slow = driver.requests.slowAnswer ?? context.request
  const quote = await context.quote(slow)
  const vouchers = await Promise.all(
    [0n, 0n, 1n, 2n].map(async (more) => {
      const next = await payer.sign(quote)
      const ceiling = BigInt(String(Object(next.payload['voucher']).maxClaimableAmount)) + more
      return payer.sign(quote, { ceilingAtomic: ceiling })
    }),
  )
  const before = payer.chargedAtomic()
  const { answers, executions } = await context.observe(() =>
    Promise.all(vouchers.map((each) => context.send(each, slow))),
  )
  for (const answer of answers) payer.hear(answer)
  const served = answers.filter(isServed).length
  const rise = payer.chargedAtomic() - before
  demand(executions === 1, `${executions} executions where one ceiling covers one call`)
  demand(executions === served, `${executions} executions, ${served} charged`)
  demand(rise <= BigInt(offer.amount) * 2n, `charged ${rise} for one call`)
  const { id } = payer.channelOf(offer)
  const { balance } = await readChannel(rpcUrl, id)
  demand(payer.chargedAtomic() <= balance, 'charged more than the channel holds')
  return passed(`4 overlapping vouchers: ${executions} execution, charged ${rise}`)
}

function highS(signature: string): string {
  const s = BigInt(`0x${signature.slice(66, 130)}`)
  const high = (secp256k1.Point.Fn.ORDER - s).toString(16).padStart(64, '0')
  return otherV(`${signature.slice(0, 66)}${high}${signature.slice(130)}`)
}

function otherV(signature: string): string {
  return withV(signature, signature.endsWith('1b') ? 1 : -1)
}

function withV(signature: string, more: number): string {
  const v = Number.parseInt(signature.slice(130), 16) + more
  return `${signature.slice(0, 130)}${v.toString(16).padStart(2, '0')}`
}

/** A channel of its own with 20,000 in it, after one call. */
async function openChannel(
  context: Context,
  key: `0x${string}`,
): Promise<{ readonly payer: ChannelPayer; readonly offer: Offer }> {
  const payer = createChannelPayer(key, 20_000n)
  const { accepted } = await openByCall(context, payer)
  return { payer, offer: accepted }
}
