/** `run-kills.ts [KILLS] [SEED]`: kills a process with a ledger so often; prints what was compared. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { killLedger } from './kill-ledger.ts'

const [kills = '200', seed = '1'] = process.argv.slice(2)
const directory = mkdtempSync(join(tmpdir(), 'countersign-ledger-'))
const tally = await killLedger(directory, Number(kills), Number(seed))
rmSync(directory, { recursive: true })
process.stdout.write(`${JSON.stringify({ seed: Number(seed), ...tally })}\n`)
