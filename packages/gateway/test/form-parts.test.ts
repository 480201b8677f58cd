import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseForm, readBoundary } from '../src/call/form-parts.ts'
import { sha256Hex } from './support/chat-call.ts'
import { createForm } from './support/wire-calls.ts'

test.each([
  ['multipart/form-data; boundary=abc', 'abc'],
  ['multipart/form-data;boundary="a b"', undefined],
  ['multipart/form-data; boundary="a:b"', 'a:b'],
  ['Multipart/Form-Data; BOUNDARY=----WebKitFormBoundary7', '----WebKitFormBoundary7'],
  ['multipart/form-data; boundary=', undefined],
  ['multipart/form-data', undefined],
  ['multipart/form-data; boundary=a; boundary=b', undefined],
  ['multipart/form-data; charset=x; boundary=a', undefined],
  [`multipart/form-data; boundary=${'a'.repeat(71)}`, undefined],
  ['multipart/mixed; boundary=a', undefined],
])('reads the boundary of %s', (contentType, boundary) => {
  expect(readBoundary(contentType)).toBe(boundary)
})

test('reads back every form, part by part', () => {
  const name = fc.stringMatching(/^[a-z[\]_]{1,20}$/)
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom('\r\n', 'a--frontier7', '\r\n--frontier', '-', '\r\n\r\n')
      .map((text) => Buffer.from(text)),
  )
  const filename = fc.option(fc.stringMatching(/^[a-z.]{1,9}$/), { nil: undefined })
  const field = fc.record({ name, content, filename })
  fc.assert(
    fc.property(fc.array(field, { maxLength: 5, minLength: 1 }), (fields) => {
      const form = createForm(
        fields.map(({ filename: file, ...rest }) =>
          file === undefined ? rest : { ...rest, filename: file },
        ),
      )
      const parts = parseForm(form, 'frontier7')
      expect(parts).toEqual(
        fields.map(({ name: expected, content: bytes, filename: file }) =>
          expect.objectContaining({
            name: expected,
            isFile: file !== undefined,
            sha256: Buffer.from(sha256Hex(bytes), 'hex'),
          }),
        ),
      )
    }),
    { numRuns: 500 },
  )
})

test('refuses, and never throws, when bytes are turned, lost or put in', () => {
  const form = createForm([
    { name: 'model', content: 'm' },
    { name: 'file', filename: 'a', content: Buffer.from([0, 13, 10, 255]) },
  ])
  const whole = parseForm(form, 'frontier7')
  if (typeof whole === 'string') throw new Error(whole)
  let refused = 0
  for (let index = 0; index < form.length; index++) {
    const turned = Buffer.from(form)
    turned[index] = (turned[index] ?? 0) ^ 0x20
    for (const bytes of [turned, form.subarray(0, index)]) {
      const parts = parseForm(bytes, 'frontier7')
      if (typeof parts === 'string') refused++
      // What is read is what stands there: the last boundary is never invented.
      else expect(parts.every(({ span }) => span.end < bytes.length)).toBe(true)
    }
  }
  expect(refused).toBeGreaterThan(form.length)
})
