/** The attacks T1–T47: what each is, and which clause of ours answers it. */
import type { Area, Attack } from './attack.ts'
import * as amounts from './areas/amounts.ts'
import { auditSums } from './areas/audit.ts'
import * as binding from './areas/binding.ts'
import * as capital from './areas/capital.ts'
import * as channels from './areas/channels.ts'
import * as client from './areas/client.ts'
import * as ownClient from './areas/own-client.ts'
import * as facilitator from './areas/facilitator.ts'
import * as replay from './areas/replay.ts'
import * as lyingNode from './areas/lying-node.ts'
import * as movedTime from './areas/moved-time.ts'
import * as http from './areas/streaming-http.ts'

/** One line of the table. */
export type CatalogueEntry = {
  readonly id: `T${number}`
  readonly area: Area
  readonly title: string
  /** What stops it here, with the clauses of spec/payment.md. */
  readonly mechanism: string
  readonly run: Attack
}

type Row = readonly [title: string, mechanism: string, run: Attack]

const areas: readonly (readonly [Area, readonly Row[]])[] = [
  [
    'replay',
    [
      [
        'same payment at once',
        'one durable row before the upstream (PA8.1, PA17.3, PA18.3)',
        replay.raceOnePayment,
      ],
      [
        'again after settlement',
        'a used payment is never executed (PA8.4, PA11, PA17.3)',
        replay.replayAfterSettle,
      ],
      [
        'again after a crash',
        'recovery through the same ledger (PA12, PA20.4)',
        replay.killAndReplay,
      ],
      [
        'at two servers',
        'payTo and authorizer differ for each gateway (PA5.4, PA18.2)',
        replay.replayElsewhere,
      ],
      ['two calls under one name', 'names bound to payer and request (PA4)', replay.reuseName],
      ['spellings of the header', 'one header, strict form (PA7.1, PA15.1)', replay.spellHeader],
      [
        'lost settlement',
        'the reservation stays, the same bytes are sent (PA9.1, PA9.5)',
        replay.loseSettlement,
      ],
      ['charge of 0', 'consumed by its reservation (PA8.5, PA17.3)', replay.replayFreeCall],
    ],
  ],
  [
    'binding',
    [
      [
        'other route, model, method, body, host',
        'offer, resource and request are compared (PA6, PA7.2, PA15.2)',
        binding.presentElsewhere,
      ],
      [
        'changed offer, chain, contract',
        'every member compared; domain in the signature (PA7.2, PA15.2, PA16.4)',
        binding.changeOffer,
      ],
      ['changed extension', 'info must be ours (PA7.4, PA15.3)', binding.changeExtension],
      [
        'receipt of another call',
        'the statement holds both hashes (receipt.md)',
        binding.swapReceipts,
      ],
      ['settled by an observer', 'found by its event (PA9.3, PA17.5)', binding.settleFirst],
    ],
  ],
  [
    'amounts',
    [
      ['amounts that are none', 'one decimal form (PA1.3, PA7.3, PA15.4)', amounts.writeAmounts],
      [
        'charge above the ceiling',
        'the charge is at most the reservation (PA14.1, PA14.3)',
        amounts.exceedCeiling,
      ],
      [
        'use missing, lying, zero',
        'own count, or the bound of the output, where the provider’s cannot be (ME3.1, ME9.4)',
        amounts.lieAboutUsage,
      ],
      [
        'injected override',
        'headers never change a charge (PA1.5, PA14.1)',
        amounts.injectOverride,
      ],
      ['rounding', 'once, up, in whole numbers (metering.md ME6)', amounts.checkRounding],
      [
        'token that moves nothing',
        'the Transfer event is required (PA9.2, PA17.5)',
        amounts.moveNothing,
      ],
    ],
  ],
  [
    'capital',
    [
      [
        'calls above the balance',
        'reserved against balance and allowance (PA7.7, PA17.4, PA18.1)',
        capital.overdraw,
      ],
      [
        'money moved away',
        'settled first, or bounded exposure (PA10.1, PA17.4)',
        capital.moveMoney,
      ],
      [
        'deposit not in a block',
        'served at the configured depth (PA18.2, PA21.1)',
        capital.pretendDeposit,
      ],
      [
        'withdrawal under way',
        'no voucher, claimed at once (PA18.6, PA21.3)',
        channels.withdrawMidstream,
      ],
      ['withdrawal against claim', 'claimed when it begins (PA21.3)', movedTime.raceWithdrawal],
      [
        'old view of the chain',
        'no voucher after a third of the delay (PA21.4)',
        movedTime.staleChain,
      ],
      ['refunds at once', 'one refund at a time, by nonce (PA19.2)', channels.raceRefunds],
      ['emptied channel', 'C and used ceilings are kept (PA18.9)', channels.useDrained],
      [
        'forged signatures and ceilings',
        'the rule of the contract (PA7.6, PA15.5, PA18.3)',
        channels.forgeVouchers,
      ],
      ['overlapping vouchers', 'C + R ≤ S ≤ B − W (PA18.1)', channels.overlapVouchers],
      [
        'stream of more than ten minutes',
        'a reservation lives as long as its call (PA14.3)',
        movedTime.streamForTenMinutes,
      ],
    ],
  ],
  [
    'streaming-http',
    [
      ['leaving a stream', 'what was metered until then (PA14.6, ME9)', http.leaveEarly],
      ['failing upstream', 'released, or charged 0 (PA1.4, PA14.6)', http.breakUpstream],
      [
        'byte before its record',
        'durable before release (PA8.3, PA18.3, PA20.1)',
        http.killAfterFirstByte,
      ],
      ['shared caches', 'no-store on every answer', http.askCaches],
      ['spellings of the route', 'exact paths and methods only', http.spellPath],
      ['hostile headers', 'limits before parsing, strict JSON (PA7.1, PA15.1)', http.sendGarbage],
      ['cost of refusing', 'cheap checks first, no chain, no disk (PA14.4, PA25)', http.costCpu],
    ],
  ],
  [
    'facilitator',
    [
      [
        'lost transaction',
        'the same bytes again, gaps filled (PA9.6)',
        facilitator.loseTransaction,
      ],
      ['settled often', 'one transaction for a nonce, ever (PA9.1)', facilitator.settleOften],
      [
        'lying node, fees, reorganisations',
        'fees are bounded; lost blocks are read again; nodes must agree (PA9.7, PA21.2, PA29)',
        lyingNode.lieAboutChain,
      ],
      ['factory in a signature', '65 bytes or nothing (PA7.3, PA15.5)', facilitator.nameFactory],
      ['key rotation', 'the contracts ask the registry (contracts.md)', movedTime.rotateKey],
      [
        'poisoned batch',
        'refused at the door; bisection (PA15.5, PA21.3)',
        facilitator.poisonBatch,
      ],
    ],
  ],
  [
    'client',
    [
      ['cheated payer', 'limits before the signature (docs/guides/client.md)', client.cheatPayer],
      ['charge above receipt', 'the payer compares (PA22.2)', ownClient.chargeAboveReceipt],
      ['lost state', 'corrective 402 (PA22.1)', client.forgetChannel],
    ],
  ],
  ['audit', [['sums', 'one ledger of events (PA20.5)', auditSums]]],
]

/** All of them, in order. */
export const catalogue: readonly CatalogueEntry[] = areas
  .flatMap(([area, rows]) => rows.map((row) => ({ area, row })))
  .map(({ area, row: [title, mechanism, run] }, index) => ({
    id: `T${index + 1}` as const,
    area,
    title,
    mechanism,
    run,
  }))
