/** The short form of `npm run attack`: our own gateway, all three schemes, on one network. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Scheme } from './attacks/attack.ts'
import { catalogue } from './attacks/catalogue.ts'
import { forScheme, startOwnNetwork, type AttackedNetwork } from './attacks/drivers/own-network.ts'
import { createPayer } from './attacks/payers/create-payer.ts'
import { describeResult, verdictOf } from './attacks/report.ts'
import { runSuite } from './attacks/run-suite.ts'

let network: AttackedNetwork
beforeAll(async () => {
  network = await startOwnNetwork('upto')
})
afterAll(() => network.driver.stop())

// T3 kills again and again, T31 waits for slow streams, T37 measures CPU time, T47 is metered-chaos.test.ts; the others
// start networks of their own. T42 does so here once.
const longOnly = new Set('T3 T19 T22 T24 T25 T30 T31 T37 T38 T40 T47'.split(' '))

/** What is run, by scheme, and what must come of it: everything else must pass, at least in part. */
const plans: readonly {
  readonly scheme: Scheme
  readonly leftOut: string
  readonly notJudged: string
  /** Known to fail: docs/known-gaps.md. One that is mended must leave this list. */
  readonly failing: string
}[] = [
  {
    scheme: 'upto',
    leftOut: 'T4 T15 T22 T23 T26 T27 T29 T42 T43 T44 T46',
    failing: '',
    notJudged: 'T13',
  },
  {
    scheme: 'batch-settlement',
    leftOut: 'T4 T6 T11 T12 T15 T33 T34 T35 T36 T44',
    failing: '',
    notJudged: 'T7 T8 T13 T21 T39',
  },
  {
    scheme: 'exact',
    leftOut:
      'T4 T6 T8 T11 T12 T15 T16 T17 T18 T21 T22 T23 T26 T27 T29 T32 T33 T34 T35 T36 T42 T43 T45 T46',
    failing: '',
    notJudged: '',
  },
]

test.each(plans)(
  'our gateway withstands the attacks on $scheme',
  async (plan) => {
    const { scheme, leftOut, notJudged, failing } = plan
    const { url, rpcUrl, request, driver } = forScheme(network, scheme)
    const chosen = catalogue.map(({ id }) => id)
    const only = new Set<string>(
      chosen.filter((id) => !longOnly.has(id) && !leftOut.split(' ').includes(id)),
    )
    const payer = createPayer(scheme, await driver.createPayerKey())
    const results = await runSuite({
      url,
      rpcUrl,
      request,
      driver,
      scheme,
      payer,
      only,
      repeats: 10,
      seed: 1,
    })
    expect(results).toHaveLength(only.size)
    const failed = results.filter((result) => ['failed', 'broken-off'].includes(verdictOf(result)))
    const told = failed.map(describeResult).join('\n')
    expect(failed.map(({ id }) => id).join(' '), told).toBe(failing)
    const unjudged = results.filter((result) =>
      ['not-run', 'not-applicable'].includes(verdictOf(result)),
    )
    expect(unjudged.map(({ id }) => id).join(' ')).toBe(notJudged)
  },
  900_000,
)
