import { expect, test } from 'vitest'
import { CallRefused } from '../src/call/call-refused.ts'
import { parseCallRequest } from '../src/call/call-request.ts'
import { findWireRoute } from '../src/http/wire-routes.ts'

const odd = [
  './m',
  'a/./m',
  '/m',
  'a//m',
  'm/',
  'm/.',
  '.',
  '..',
  '../m',
  'a/../m',
  'm..',
  '%6d',
  '',
]

test.each(odd)('has no path to the model %j, which an upstream could read as another', (name) => {
  for (const version of ['v1', 'v1beta']) {
    expect(findWireRoute('POST', `/${version}/models/${name}:generateContent`)).toBeUndefined()
  }
})

test.each(['m', 'a/m', 'gemini-2.5-pro', '.m', 'a.b/c:d'])('has a path to the model %j', (name) => {
  expect(findWireRoute('POST', `/v1beta/models/${name}:generateContent`)?.name).toBe(name)
})

test('takes no body that names another model than its path', () => {
  const matched = findWireRoute('POST', '/v1beta/models/m:embedContent')
  if (matched === undefined) throw new Error('no such path')
  const modelOf = (body: string): string => parseCallRequest(matched, {}, Buffer.from(body)).model
  for (const body of ['{}', '{"model":"m"}', '{"model":"models/m"}', '{"model":null}']) {
    expect(modelOf(body)).toBe('m')
  }
  for (const body of ['{"model":"dearer"}', '{"model":"models/dearer"}', '{"mod\\u0065l":"M"}']) {
    expect(() => modelOf(body)).toThrow(CallRefused)
  }
})
