/** Operators that announce what is not so: a server in front of real contracts on a real chain. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encodeFunctionData, keccak256, type Hex } from 'viem'
import { expect, onTestFinished, test } from 'vitest'
import type { Payee } from '@countersign/client'
import {
  createAnnouncedPayeeCheck,
  type AnnouncedPayeeCheckOptions,
} from '@countersign/client/announced-payee-check'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { planOperator, planRegistry } from '@countersign/contracts/operator'
import { registryTimelockAbi } from '@countersign/contracts/registry-timelock'
import {
  encodeOperatorTerms,
  type OperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import { needsAnvil, sender } from '../../contracts/test/local-chain.ts'
import { gatewayId, openOperatorChain, payeeOwner } from '../../contracts/test/operator-chain.ts'
import { lower, readerOf } from './kit/chain-reader.ts'
import { refusalOf } from './kit/fetch-fixture.ts'

const network = 'eip155:84532'
const noBytes: Hex = `0x${'00'.repeat(32)}`

/** What the server says; tests put their lies here. */
type Answer = { status: number; body: Uint8Array; readonly headers: Record<string, string> }

async function startLiar(): Promise<{ readonly origin: string; readonly answer: Answer }> {
  const answer: Answer = { status: 404, body: new Uint8Array(0), headers: {} }
  const server = createServer((request, response) => {
    const isTerms = request.url === '/v1/terms'
    response.writeHead(isTerms ? answer.status : 404, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const { port }: Pick<AddressInfo, 'port'> =
    typeof address === 'object' && address !== null ? address : { port: 0 }
  return { origin: `http://127.0.0.1:${port}`, answer }
}

/** A liar in front of honest contracts; each of its judgements is made anew. */
async function openOperator() {
  const chain = await openOperatorChain()
  const { addresses } = chain
  const { origin, answer } = await startLiar()
  const terms: OperatorTerms = {
    network,
    gatewayId,
    payeeOwner: lower(payeeOwner),
    registry: lower(addresses.registry),
    guardian: lower(sender),
    proposers: [lower(sender)],
    minDelaySeconds: 2,
    fromBlock: 0,
  }
  const announce = (changes: Partial<OperatorTerms>): void => {
    answer.status = 200
    answer.body = encodeOperatorTerms({ ...terms, ...changes })
  }
  const policy = { minDelaySeconds: 2, registries: [addresses.registry], trustsProposers: true }
  const readers = { [network]: readerOf(chain) }
  const authorizer = lower(addresses.authorizer)
  const payee: Payee = {
    network,
    origin,
    payTo: lower(addresses.payee),
    contract: { kind: 'channel', authorizer, withdrawDelaySeconds: 900 },
  }
  const upto = { ...payee, contract: { kind: 'upto', settler: lower(addresses.settler) } } as const
  const judge = (
    changes: Partial<AnnouncedPayeeCheckOptions['policy']> = {},
    of: Payee = payee,
  ): Promise<void> => createAnnouncedPayeeCheck({ policy: { ...policy, ...changes }, readers })(of)
  return { ...chain, answer, announce, policy, readers, payee, upto, judge }
}

test('announced terms are taken by the policy of the payer only', needsAnvil, async () => {
  const { answer, announce, judge, policy, readers, upto, addresses } = await openOperator()
  answer.status = 404
  expect(await refusalOf(judge())).toBe('terms-unavailable')
  announce({})
  await judge()
  await judge({ payeeOwners: [payeeOwner], guardians: [sender], proposers: [sender] })
  await judge({}, upto)
  expect(await refusalOf(judge({ minDelaySeconds: 3 }))).toBe('terms-refused')
  expect(await refusalOf(judge({ registries: [addresses.timelock] }))).toBe('terms-refused')
  expect(await refusalOf(judge({ payeeOwners: [sender] }))).toBe('terms-refused')
  expect(await refusalOf(judge({ guardians: [] }))).toBe('terms-refused')
  expect(await refusalOf(judge({ proposers: [payeeOwner] }))).toBe('terms-refused')
  expect(await refusalOf(judge({ trustsProposers: false }))).toBe('withdraw-delay-too-long')
  for (const credulous of [
    { ...policy, minDelaySeconds: 0, trustsProposers: false },
    { minDelaySeconds: 2, trustsProposers: true },
  ]) {
    // A policy that believes any operator is none.
    expect(() => createAnnouncedPayeeCheck({ policy: credulous, readers })).toThrow(
      expect.objectContaining({ code: 'options-invalid' }),
    )
  }
})

test(
  'what an operator says of itself is compared with what its addresses are',
  needsAnvil,
  async () => {
    const { announce, judge, payee, upto, addresses } = await openOperator()
    announce({ gatewayId: keccak256('0x01') })
    expect(await refusalOf(judge())).toBe('payee-foreign')
    announce({ payeeOwner: lower(sender) })
    expect(await refusalOf(judge())).toBe('payee-foreign')
    // A long delay in words, a registry without delay in fact: its address gives it away.
    announce({ minDelaySeconds: 172_800 })
    expect(await refusalOf(judge())).toBe('payee-foreign')
    const by = lower(sender)
    const roles = { minDelaySeconds: 0, proposers: [by], guardian: by }
    const own = planRegistry({ x402: baseSepoliaX402, ...roles })
    announce({ minDelaySeconds: 0, registry: lower(own.registry.address) })
    expect(await refusalOf(judge())).toBe('terms-refused')
    announce({ network: 'eip155:8453' })
    expect(await refusalOf(judge())).toBe('terms-refused')
    // Everything as announced, and nothing there.
    const absentId = keccak256('0x02')
    const { registry } = addresses
    const terms = { x402: baseSepoliaX402, registry, gatewayId: absentId, payeeOwner }
    const absent = planOperator(terms)
    announce({ gatewayId: absentId })
    const nowhere: Payee = {
      ...payee,
      payTo: lower(absent.payee.address),
      contract: { ...upto.contract, settler: lower(absent.settler.address) },
    }
    await expect(judge({}, nowhere)).rejects.toThrow(/payee-foreign.*no code at/)
  },
)

test('what is no document of terms is refused', needsAnvil, async () => {
  const { answer, announce, judge } = await openOperator()
  announce({})
  for (const body of [Buffer.from('{}'), Buffer.alloc(5000, 0x20)]) {
    answer.body = body
    expect(await refusalOf(judge())).toBe('terms-refused')
  }
  announce({})
  answer.headers['location'] = '/v1/terms'
  answer.status = 302
  expect(await refusalOf(judge())).toBe('terms-unavailable')
})

test('events are not hidden by a block after the deployment', needsAnvil, async () => {
  const { announce, judge, upto, addresses, reader, wallet, mined } = await openOperator()
  const abi = registryTimelockAbi
  const change = encodeFunctionData({ abi, functionName: 'updateDelay', args: [0n] })
  const call = [addresses.timelock, 0n, change, noBytes, noBytes, 2n] as const
  const data = encodeFunctionData({ abi, functionName: 'schedule', args: call })
  await mined(wallet.sendTransaction({ to: addresses.timelock, data }))
  await mined(wallet.sendTransaction({ to: sender, value: 0n }))
  announce({ fromBlock: Number(await reader.getBlockNumber()) })
  expect(await refusalOf(judge())).toBe('registry-changed')
  expect(await refusalOf(judge({}, upto))).toBe('registry-changed')
})

test('a delay that is changed later is refused from its announcement on', needsAnvil, async () => {
  const { announce, judge, upto, addresses, wallet, mined } = await openOperator()
  announce({})
  await judge()
  const abi = registryTimelockAbi
  const change = encodeFunctionData({ abi, functionName: 'updateDelay', args: [0n] })
  const call = [addresses.timelock, 0n, change, noBytes, noBytes] as const
  const to = addresses.timelock
  const schedule = encodeFunctionData({ abi, functionName: 'schedule', args: [...call, 2n] })
  await mined(wallet.sendTransaction({ to, data: schedule }))
  expect(await refusalOf(judge())).toBe('registry-changed')
  for (let block = 0; block < 2; block++) {
    await mined(wallet.sendTransaction({ to: sender, value: 0n }))
  }
  const execute = encodeFunctionData({ abi, functionName: 'execute', args: call })
  await mined(wallet.sendTransaction({ to, data: execute }))
  expect(await refusalOf(judge())).toBe('registry-changed')
  expect(await refusalOf(judge({}, upto))).toBe('registry-changed')
})
