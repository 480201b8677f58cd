/** A payer that is killed between its signature and the answer: says what it sent, and waits for the end. */
import { appendFileSync } from 'node:fs'
import { countersignFetch } from '@countersign/client'
import { openStateFile } from '@countersign/client/state-file'
import { privateKeyToAccount } from 'viem/accounts'
import { chatRequest, ceilingOf } from './chat-request.ts'

const [baseUrl = '', rpcUrl = '', key = '', statePath = '', logPath = '', when = ''] =
  process.argv.slice(2)
const state = await openStateFile(statePath)
const paidFetch = countersignFetch({
  baseUrl,
  account: privateKeyToAccount(`0x${key.slice(2)}`),
  maxAmountAtomic: 20_000n,
  budgetAtomic: 90_000n,
  rules: [{ perDayAtomic: 90_000n }],
  chains: { 'eip155:84532': rpcUrl },
  checkPayee: 'unchecked',
  channels: { depositAtomic: 40_000n },
  state,
  fetch: async (url, init) => {
    const ceiling = ceilingOf(init)
    if (ceiling === undefined) return fetch(url, init)
    appendFileSync(logPath, `${ceiling}\n`)
    // Signed and kept; the gateway has not seen it.
    if (when === 'before') process.kill(process.pid, 'SIGKILL')
    const response = await fetch(url, init)
    // The gateway has reserved it.
    if (when === 'after') process.kill(process.pid, 'SIGKILL')
    return response
  },
})
const response = await paidFetch(`${baseUrl}/chat/completions`, chatRequest('hello'))
await response.text()
const receipt = await paidFetch.receiptOf(response)
await state.close()
process.stdout.write(`${receipt.chargedAtomic} ${receipt.cumulativeAtomic}\n`)
