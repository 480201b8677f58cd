/** Tries the contracts of the metered schemes: whether payers see code, and whether the registry trusts the charge keys. */
import { x402On } from '@countersign/contracts/addresses'
import type { PublicClient } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import { openAnnouncedOperator, type AnnouncedOperator } from '../payment/announced-operator.ts'
import { judgeKey, type KeyMoment, type KeyRecord } from '@countersign/contracts/key-standing'
import { longestCallMs } from '../payment/charge-key/longest-call.ts'
import { readChargeKeys } from '../payment/charge-key/read-charge-keys.ts'
import { createKeyRecordReader } from '../payment/charge-key/read-key-records.ts'
import { createDoctorClient } from './check-nodes.ts'
import { codeOf, createFindings, type Finding, type Findings } from './finding.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>
type Hex = `0x${string}`

/** What the doctor needs for it. */
export type OperatorSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly timeoutMs: number
  readonly nowMs: () => number
}

/** The findings about the operator; none where no metered scheme is configured. */
export async function checkOperator(
  config: Config,
  { environment, timeoutMs, nowMs }: OperatorSurroundings,
): Promise<readonly Finding[]> {
  const { payment } = config
  const findings = createFindings('operator')
  const metered = payment === 'none' ? undefined : (payment.upto ?? payment.batchSettlement)
  if (payment === 'none' || metered === undefined) return findings.all
  const operator = openOperator(payment, metered.network, findings)
  if (operator === undefined) return findings.all
  const client = createDoctorClient(payment, metered.rpcUrl, timeoutMs)
  await judgeContracts(client, payment, operator, findings)
  try {
    const keys = readChargeKeys(config, environment).map(privateKeyToAddress)
    const horizonMs = longestCallMs(config) + settleMs
    await judgeKeys(client, operator, keys, { nowMs: nowMs(), horizonMs }, findings)
  } catch (error) {
    const hint = 'Set payment.chargeKeysFile or COUNTERSIGN_CHARGE_KEY.'
    if (!(error instanceof ConfigError)) throw error
    findings.failed('charge keys', error.message, hint)
  }
  return findings.all
}

const settleMs = 60_000
const hourMs = 3_600_000
const warnBeforeMs = 4 * hourMs

function openOperator(
  payment: PaidConfig,
  network: string,
  findings: Findings,
): AnnouncedOperator | undefined {
  const x402 = x402On(+(network.split(':')[1] ?? ''))
  if (x402 === undefined) return undefined
  try {
    const operator = openAnnouncedOperator(payment, x402)
    const hint = 'Set payment.operator: payers cannot judge the contracts otherwise.'
    if (operator === undefined) findings.warning('terms', 'none are announced', hint)
    else findings.ok('terms', `registry ${operator.terms.registry}`)
    return operator
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    findings.failed('terms', error.message, 'Payers would refuse every offer: correct payment.')
    return undefined
  }
}

async function judgeContracts(
  client: PublicClient,
  { upto, batchSettlement }: PaidConfig,
  { terms }: AnnouncedOperator,
  findings: Findings,
): Promise<void> {
  const named = [
    ['registry', terms.registry],
    ['payee', (upto ?? batchSettlement)?.payTo],
    ['settler', upto?.settler],
    ['receiver authorizer', batchSettlement?.receiverAuthorizer],
  ] as const
  for (const [name, address] of named) {
    if (address === undefined) continue
    try {
      const code = await client.getCode({ address: toHex(address) })
      if (code !== undefined) findings.ok(name, `${address} has code`)
      else
        findings.failed(name, `${address} has no code`, 'Deploy it: payers refuse it until then.')
    } catch (error) {
      findings.failed(name, codeOf(error), 'Check rpcUrl.')
    }
  }
}

async function judgeKeys(
  client: PublicClient,
  { terms }: AnnouncedOperator,
  keys: readonly Hex[],
  moment: Omit<KeyMoment, 'blockSeconds'>,
  findings: Findings,
): Promise<void> {
  try {
    const read = createKeyRecordReader(client, terms)
    const { records, blockSeconds } = await read(keys)
    const at = { ...moment, blockSeconds }
    for (const [address, record] of records) describeKey(address, record, at, findings)
    if ([...records.values()].some((record) => judgeKey(record, at) === 'good')) return
    const hint = 'Nothing is sold by upto and batchSettlement before the registry trusts one.'
    findings.failed('charge keys', 'none is good', hint)
  } catch (error) {
    findings.failed('charge keys', codeOf(error), 'The registry does not answer.')
  }
}

function describeKey(address: Hex, record: KeyRecord, moment: KeyMoment, findings: Findings): void {
  const check = `charge key ${address}`
  const standing = judgeKey(record, moment)
  const leftMs = record.validUntilSeconds * 1000 - moment.nowMs
  const next = 'Have the next key registered, and add it to payment.chargeKeysFile.'
  if (standing === 'good' && leftMs > warnBeforeMs) {
    findings.ok(check, `trusted for ${Math.floor(leftMs / hourMs)} h more`)
  } else if (standing === 'good') findings.warning(check, 'ends within 4 hours', next)
  else if (standing === 'trusted') {
    findings.warning(check, 'ends too soon to sell calls, claims what is owed', next)
  } else if (standing === 'settling')
    findings.warning(check, 'has ended, claims what is owed', next)
  else findings.warning(check, 'the registry does not trust it', next)
}

function toHex(text: string): Hex {
  return `0x${text.slice(2)}`
}
