/** A channel that is opened by its first call. */
import { isServed, tally, type Context } from '../attack.ts'
import type { ChannelPayer } from '../payers/channel-payer.ts'
import { pause } from '../waiting.ts'
import type { Payment } from '../wire.ts'

const attempts = 6
const againMs = 1000

/**
 * The payment that opened it. The same one is shown again where it was refused: a server whose transactions take each other's
 * nonces needs another attempt. A channel that cannot be opened breaks the attack off; nothing is judged by it.
 */
export async function openByCall(context: Context, payer: ChannelPayer): Promise<Payment> {
  const payment = await payer.sign(await context.quote())
  for (let attempt = 1; ; attempt++) {
    const answer = await context.send(payment)
    payer.hear(answer)
    if (isServed(answer)) return payment
    if (attempt === attempts) {
      throw new Error(`the channel could not be opened: ${tally([answer])}`)
    }
    await pause(againMs)
  }
}
