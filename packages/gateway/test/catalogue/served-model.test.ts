import { expect, test } from 'vitest'
import { compareServedModel, type ServedAs } from '../../src/catalogue/served-model.ts'

const cases: readonly (readonly [sent: string, served: string | null, expected: ServedAs])[] = [
  ['gpt-5-mini', 'gpt-5-mini', 'same'],
  ['gpt-5-mini', 'gpt-5-mini-2025-08-07', 'snapshot'],
  ['gpt-3.5-turbo-instruct', 'gpt-3.5-turbo-instruct:20230824-v2', 'snapshot'],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929', 'snapshot'],
  ['claude-3-5-haiku-latest', 'claude-3-5-haiku-20241022', 'snapshot'],
  ['models/gemini-2.0-flash', 'gemini-2.0-flash-001', 'snapshot'],
  ['gpt-5-mini', null, 'unsaid'],
  ['gpt-5', 'gpt-5-mini', 'other'],
  ['gpt-5-mini', 'gpt-5', 'other'],
  ['gpt-5', 'gpt-5-mini-2025-08-07', 'other'],
  ['gpt-5-mini-2025-08-07', 'gpt-5-mini-2025-09-09', 'other'],
  ['gpt-5', 'gpt-5-2025-08-07-evil', 'other'],
  ['gpt-5', '', 'other'],
]

test.each(cases)('%s served as %s is %s', (sent, served, expected) => {
  expect(compareServedModel(sent, served)).toBe(expected)
})
