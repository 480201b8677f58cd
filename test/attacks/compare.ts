import type { AttackResult } from './run-suite.ts'
export function writeComparison(_r: number, _p: (r: AttackResult) => void): Promise<boolean> {
  return Promise.resolve(false)
}
