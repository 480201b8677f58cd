import { expect, test } from 'vitest'
import { parseChainArguments } from '../src/chain/arguments.ts'
import { payee, payer } from './local-chain.ts'

const environment = { COUNTERSIGN_ANVIL: process.execPath }
const data = ['--data', 'chain']

test('reads every argument', () => {
  const read = parseChainArguments(
    `--data chain --port 8545 --exit-with-parent --snapshot-every 9 --fund ${payer}=1 --fund=${payee}=2 --usdc ${payer}=3`.split(
      ' ',
    ),
    environment,
  )
  expect(read).toEqual({
    port: 8545,
    exitWithParent: true,
    options: {
      directory: 'chain',
      anvilBinary: process.execPath,
      balances: {
        wei: new Map([
          [payer.toLowerCase(), 1n],
          [payee.toLowerCase(), 2n],
        ]),
        usdcAtomic: new Map([[payer.toLowerCase(), 3n]]),
      },
      snapshotEveryRecords: 9,
      heartbeatMs: 30_000,
    },
  })
})

test('needs only a data directory', () => {
  const { port, exitWithParent } = parseChainArguments(data, environment)
  expect({ port, exitWithParent }).toEqual({ port: 0, exitWithParent: false })
})

test('refuses every command line that it would have to guess about', () => {
  const wrong: [string, string[]][] = [
    ['--data is missing', []],
    ['--data is missing', ['--data', '']],
    ['--port', [...data, '--port', '65536']],
    ['--port', [...data, '--port=-1']],
    ['--port', [...data, '--port', '0x10']],
    ['--port', [...data, '--port', '']],
    ['ADDRESS=AMOUNT', [...data, '--fund', payer]],
    ['ADDRESS=AMOUNT', [...data, '--fund', `${payer}=1.5`]],
    ['ADDRESS=AMOUNT', [...data, '--fund', `${payer}=01`]],
    ['ADDRESS=AMOUNT', [...data, '--fund', `${payer}=-1`]],
    ['ADDRESS=AMOUNT', [...data, '--usdc', `${payer.slice(0, -1)}=1`]],
    ['too much', [...data, '--fund', `${payer}=${2n ** 128n}`]],
    ['twice', [...data, `--usdc=${payer}=1`, `--usdc=${payer.toLowerCase()}=2`]],
    ['--snapshot-every', [...data, '--snapshot-every', 'often']],
    ['--unknown', [...data, '--unknown']],
    ['extra', [...data, 'extra']],
  ]
  for (const [message, argv] of wrong) {
    expect(() => parseChainArguments(argv, environment), argv.join(' ')).toThrow(message)
  }
})
