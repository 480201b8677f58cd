import { ProtocolError } from '@countersign/protocol/errors'
import { createCheckRun, need, NotChecked } from '@countersign/protocol/verify/verdict'
import { expect, test } from 'vitest'

test('a run keeps how each check ended, in order', async () => {
  const run = createCheckRun()
  const passed = await run.check(
    'policy',
    'BU2',
    () => 5,
    (value) => `${value} things`,
  )
  await run.check('bundle', 'BU1', () => Promise.resolve('x'))
  const failed = await run.check('statement', 'ST1', () => {
    throw new ProtocolError('cbor-truncated')
  })
  await run.check('keyset', 'ST4', () => need(failed))
  await run.check('nonce', 'BU3.7', () => Promise.reject(new NotChecked('not-given')))
  expect(passed).toEqual({ value: 5 })
  expect(failed).toBeUndefined()
  expect(run.checks).toEqual([
    { id: 'policy', clause: 'BU2', status: 'passed', detail: '5 things' },
    { id: 'bundle', clause: 'BU1', status: 'passed', detail: '' },
    {
      id: 'statement',
      clause: 'ST1',
      status: 'failed',
      code: 'cbor-truncated',
      message: 'the CBOR ends early',
    },
    { id: 'keyset', clause: 'ST4', status: 'not-checked', reason: 'blocked' },
    { id: 'nonce', clause: 'BU3.7', status: 'not-checked', reason: 'not-given' },
  ])
})

test('just a check that ran and passed counts as passed', async () => {
  const run = createCheckRun()
  await run.check('policy', 'BU2', () => undefined)
  await run.check('bundle', 'BU1', () => {
    throw new NotChecked('blocked')
  })
  expect([run.passed('policy'), run.passed('bundle'), run.passed('time')]).toEqual([
    true,
    false,
    false,
  ])
})

test('the value of a check that passed is given on, even when it is undefined', () => {
  expect(need({ value: undefined })).toBeUndefined()
  expect(() => need(undefined)).toThrow(new NotChecked('blocked'))
  expect(new NotChecked('withheld')).toMatchObject({
    name: 'NotChecked',
    message: 'withheld',
    reason: 'withheld',
  })
})

test('an error that is no refusal is a bug and is passed on', async () => {
  const bug = new TypeError('bug')
  const run = createCheckRun()
  await expect(run.check('policy', 'BU2', () => Promise.reject(bug))).rejects.toBe(bug)
})
