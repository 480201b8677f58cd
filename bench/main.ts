/** `npm run bench -- AREA [--json] [--quick] [--only TARGET]`: benchmarks of this project, by area. */
import { parseArgs } from 'node:util'
import { benchAttestation } from './attestation/bench-attestation.ts'
import { benchGateway } from './gateway/bench-gateway.ts'
import { compareTrees } from './gateway/compare-trees.ts'
import { benchPayments } from './payments/bench-payments.ts'
import { comparePayments } from './payments/compare-payments.ts'
import { benchWorkers } from './workers/bench-workers.ts'

const usage = `Usage: npm run bench -- gateway [--json] [--quick] [--only TARGET]…
       npm run bench -- gateway --against FOLDER
       npm run bench -- attestation [--json] [--quick]
       npm run bench -- payments [--json] [--quick] [--only WAY]… [--profile FOLDER]
       npm run bench -- payments --against FOLDER [--workers 2] [--only CASE]…
       npm run bench -- workers [--json] [--quick] [--only WAY]…

gateway      CPU per call, latency and lag of the gateway, next to plain relays in the same run
attestation  time to appraise evidence of real hardware, by platform, and the size of all verifiers
payments     CPU per paid call in every way to pay, next to the stock x402 server
workers      completed calls a second and CPU per call with one and two workers on all cores; by wrk where it is installed
--json       prints the whole result instead of a table
--quick      gateway: less than 40 s instead of less than 4 minutes, nothing written to bench/results/;
             attestation: a tenth of the rounds; payments: fewer channels and calls, nothing written;
             workers: one short round, nothing written
--only       measures these targets only, without writing a result; payments: none, unpaid, api-key,
             batch-settlement, upto, exact, stock, steps; workers: none, api-key, batch-settlement
--against    gateway: CPU per call of this tree and of the one in that folder in turns, two minutes; nothing written
             payments: the same of calls paid by a voucher and of calls that nobody pays for; cases are json-voucher,
             burst-voucher, json-none, burst-none
--workers    with --against: workers of both gateways, on all cores
--profile    payments: writes CPU profiles of the gateway there, and no result`
const exitUsage = 64

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    profile: { type: 'string' },
    against: { type: 'string' },
    workers: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})

if (values.help) process.stdout.write(`${usage}\n`)
else if (positionals.length === 1 && positionals[0] === 'gateway') {
  if (values.against === undefined) await benchGateway(values)
  else await compareTrees(values.against)
} else if (positionals.length === 1 && positionals[0] === 'attestation')
  await benchAttestation(values)
else if (positionals.length === 1 && positionals[0] === 'payments') {
  if (values.against === undefined) await benchPayments(values)
  else await comparePayments(values.against, Number(values.workers), values.only)
} else if (positionals.length === 1 && positionals[0] === 'workers') await benchWorkers(values)
else {
  process.stderr.write(`${usage}\n`)
  process.exitCode = exitUsage
}
