import { expect, test } from 'vitest'
import type { Verdict } from '@countersign/protocol/verify/verdict'
import { toPrintable, toPrintableText } from '../src/cli/printable.ts'
import { withProgress } from '../src/cli/progress.ts'
import { createTerminal, type Terminal } from '../src/cli/terminal.ts'
import { formatVerdict } from '../src/cli/verdict-text.ts'

function terminal(isTTY: boolean, environment: Readonly<Record<string, string>>): Terminal {
  const stream = { isTTY, write: () => true }
  return createTerminal({ stdout: stream, stderr: stream }, environment)
}

const verdict: Verdict = {
  verdict: 'invalid',
  level: 'L1-SIMULATED',
  policy: 'evil\u001b[2J',
  checks: [
    { id: 'policy', clause: 'BU2', status: 'passed', detail: '\u001b[2J' },
    { id: 'bundle', clause: 'BU1', status: 'failed', code: 'bundle-base64', message: 'why' },
    { id: 'nonce', clause: 'BU3.7', status: 'not-checked', reason: 'not-given' },
  ],
}

test.each([
  [true, {}, true],
  [true, { NO_COLOR: '' }, true],
  [true, { NO_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [false, {}, false],
])(
  'colours stand only on a terminal and without NO_COLOR: %s %j',
  (isTTY, environment, coloured) => {
    const text = terminal(isTTY, environment).out.style('red', 'x')
    expect(text).toBe(coloured ? '\u001b[31mx\u001b[0m' : 'x')
  },
)

test('a verdict has one line for each check, and SIMULATED stands out on a terminal', () => {
  expect(formatVerdict(verdict, terminal(false, {}).out)).toBe(
    'verdict INVALID   level L1-SIMULATED   policy evil\\u{1b}[2J\n' +
      '✓ policy               BU2          \\u{1b}[2J\n' +
      '✗ bundle               BU1          bundle-base64: why\n' +
      '– nonce                BU3.7        not-given: nothing was given to compare with\n',
  )
  const coloured = formatVerdict(verdict, terminal(true, {}).out)
  expect(coloured).toContain('L1-\u001b[1;30;43mSIMULATED\u001b[0m')
  expect(coloured).not.toContain('\u001b[2J')
})

test('a model that nobody asked for stands out on a terminal', () => {
  const check = { id: 'served-model', clause: 'RC4.10', status: 'not-checked' } as const
  const other = { ...verdict, checks: [{ ...check, reason: 'other-model' } as const] }
  expect(formatVerdict(other, terminal(true, {}).out)).toContain(
    '\u001b[1;30;43mother-model: the provider named another model than was asked for',
  )
})

test('text of others cannot move the cursor, hide, or turn its direction', () => {
  expect(toPrintable('a\nb\u001b\u009b\u200b\u2028')).toBe(
    'a\\u{a}b\\u{1b}\\u{9b}\\u{200b}\\u{2028}',
  )
  expect(toPrintableText('a\r\nb\tc\rd\u202e👩‍🔬')).toBe('a\nb\tc\\u{d}d\\u{202e}👩‍🔬')
})

test('progress says nothing where nobody looks, and gives the result', async () => {
  const written: string[] = []
  const output = {
    isTerminal: false,
    write: (text: string) => void written.push(text),
    style: String,
  }
  expect(await withProgress(output, 'x', Promise.resolve(7))).toBe(7)
  expect(written).toEqual([])
})
