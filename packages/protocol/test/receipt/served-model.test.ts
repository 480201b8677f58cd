import {
  judgeServedModel,
  matchModelName,
  type NameMatch,
  type ServedAs,
} from '@countersign/protocol/receipt/served-model'
import { expect, test } from 'vitest'

const names: readonly (readonly [name: string, served: string, expected: NameMatch])[] = [
  ['gpt-5-mini', 'gpt-5-mini', 'same'],
  ['gpt-5-mini', 'gpt-5-mini-2025-08-07', 'snapshot'],
  ['gpt-3.5-turbo-instruct', 'gpt-3.5-turbo-instruct:20230824-v2', 'snapshot'],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929', 'snapshot'],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5@20250929', 'snapshot'],
  ['claude-3-5-haiku-latest', 'claude-3-5-haiku-20241022', 'snapshot'],
  ['gemini-2.5-flash-latest', 'gemini-2.5-flash', 'snapshot'],
  ['models/gemini-2.0-flash', 'gemini-2.0-flash-001', 'snapshot'],
  ['gemini-2.0-flash', 'models/gemini-2.0-flash', 'same'],
  ['gpt-5', 'gpt-5-mini', 'other'],
  ['gpt-5-mini', 'gpt-5', 'other'],
  ['gpt-5', 'gpt-5-mini-2025-08-07', 'other'],
  ['gpt-5-mini-2025-08-07', 'gpt-5-mini-2025-09-09', 'other'],
  ['gpt-5', 'gpt-5-2025-08-07-evil', 'other'],
  ['gpt-5', 'gpt-5\n', 'other'],
  ['gpt-5', 'gpt-5-001\n', 'other'],
  ['gpt-5', 'gpt-5-٠٠١', 'other'],
  ['gpt-5', 'GPT-5', 'other'],
  ['gpt-5', '', 'other'],
  ['-latest', '-001', 'snapshot'],
]

test.each(names)('%j served as %j is %s', (name, served, expected) => {
  expect(matchModelName(name, served)).toBe(expected)
})

const calls: readonly (readonly [requested: string, sent: string, served: string, ServedAs])[] = [
  ['gpt-4o', 'gpt-4o', 'gpt-4o', 'same'],
  ['gpt-4o', 'gpt-4o-2024-08-06', 'gpt-4o-2024-08-06', 'snapshot'],
  ['gpt-4o', 'deployment-7', 'gpt-4o-2024-08-06', 'snapshot'],
  ['fast', 'gpt-4o', 'gpt-4o-2024-08-06', 'renamed'],
  ['gpt-4o', 'gpt-4o-mini', 'gpt-4o-mini', 'renamed'],
  ['fast', 'gpt-4o', 'gpt-4o-mini', 'other'],
  ['gpt-4o', 'gpt-4o', 'gpt-4o-mini', 'other'],
]

test.each(calls)('%s asked, %s sent, %s served is %s', (requested, sent, served, expected) => {
  expect(judgeServedModel({ requested, sent, served })).toBe(expected)
})
