/** `npm run bench -- AREA [--json] [--quick] [--only TARGET]`: benchmarks of this project, by area. */
import { parseArgs } from 'node:util'
import { benchGateway } from './gateway/bench-gateway.ts'

const usage = `Usage: npm run bench -- gateway [--json] [--quick] [--only TARGET]…

gateway   CPU per call, latency and lag of the gateway, next to plain relays in the same run
--json    prints the whole result instead of a table
--quick   less than 40 s instead of less than 4 minutes; nothing is written to bench/results/
--only    measures these targets only, without writing a result`
const exitUsage = 64

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})

if (values.help) process.stdout.write(`${usage}\n`)
else if (positionals.length === 1 && positionals[0] === 'gateway') await benchGateway(values)
else {
  process.stderr.write(`${usage}\n`)
  process.exitCode = exitUsage
}
