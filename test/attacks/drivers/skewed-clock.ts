/**
 * Called before a program under attack starts: its clock goes ahead by so many seconds as a file says. The file is
 * read anew on SIGUSR2; what was read is written beside it.
 */
import { readFileSync, writeFileSync } from 'node:fs'

/** Does so; without the name of a file in the environment, nothing. */
export function skewClock(): void {
  const file = process.env['COUNTERSIGN_ATTACK_CLOCK']
  if (file === undefined) return
  const systemNow = Date.now.bind(Date)
  let offsetMs = 0
  Date.now = () => systemNow() + offsetMs
  process.on('SIGUSR2', () => {
    const seconds = readFileSync(file, 'utf8')
    offsetMs = Number(seconds) * 1000
    writeFileSync(`${file}.${process.pid}`, seconds)
  })
}
