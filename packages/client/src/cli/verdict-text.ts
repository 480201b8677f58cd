/** A verdict for people: one line for each check. */
import type { Check, NotCheckedReason, Verdict } from '@countersign/protocol/verify/verdict'
import { toPrintable } from './printable.ts'
import type { Output, Style } from './terminal.ts'

const reasons: Readonly<Record<NotCheckedReason, string>> = {
  'any-allowed': 'the policy takes any',
  'any-issuer': 'the policy takes any issuer',
  blocked: 'an earlier check did not pass',
  'no-evidence': 'the bundle has no evidence',
  'not-given': 'nothing was given to compare with',
  'other-model': 'the provider named another model than was asked for (claim model)',
  renamed: 'the gateway asked for another name than the caller (claim routing)',
  'unknown-kind': 'this kind is not known here',
  unsaid: 'the provider named no model',
  withheld: 'a claim that it needs is withheld',
}
const verdictStyles: Readonly<Record<Verdict['verdict'], Style>> = {
  valid: 'green',
  invalid: 'red',
  incomplete: 'yellow',
}

/** The verdict, check by check, ending with a line feed. SIMULATED stands out. */
export function formatVerdict(verdict: Verdict, output: Output): string {
  const word = output.style(verdictStyles[verdict.verdict], verdict.verdict.toUpperCase())
  const policy = verdict.policy === '' ? 'none that can be read' : toPrintable(verdict.policy)
  const head = `${output.style('bold', 'verdict')} ${word}   level ${markSimulated(verdict.level, output)}   policy ${policy}`
  const lines = verdict.checks.map((check) => formatCheck(check, output))
  return `${[head, ...lines].join('\n')}\n`
}

function formatCheck(check: Check, output: Output): string {
  const id = check.id.padEnd(21)
  const clause = output.style('dim', check.clause.padEnd(13))
  switch (check.status) {
    case 'passed': {
      const detail = markSimulated(toPrintable(check.detail), output)
      return `${output.style('green', '✓')} ${id}${clause}${detail}`.trimEnd()
    }
    case 'failed': {
      const code = output.style('red', check.code)
      return `${output.style('red', '✗')} ${id}${clause}${code}: ${check.message}`
    }
    case 'not-checked': {
      // spec/receipt.md RC4.10: a model that nobody asked for is shown, not hidden among what was not judged.
      const style = check.reason === 'other-model' ? 'alarm' : 'dim'
      const reason = output.style(style, `${check.reason}: ${reasons[check.reason]}`)
      return `${output.style('yellow', '–')} ${id}${clause}${reason}`
    }
    default:
      return check satisfies never
  }
}

function markSimulated(text: string, output: Output): string {
  return text.replace('SIMULATED', (word) => output.style('alarm', word))
}
