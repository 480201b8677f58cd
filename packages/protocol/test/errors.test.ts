import {
  describeCode,
  describeError,
  errorCodes,
  ProtocolError,
  type ErrorCode,
} from '@countersign/protocol/errors'
import { expect, test } from 'vitest'

test('an error names its code, its meaning and its cause', () => {
  const cause = new Error('inner')
  const error = new ProtocolError('cbor-truncated', { cause })
  expect(error.message).toBe('cbor-truncated')
  expect(describeError(error)).toBe('cbor-truncated: the CBOR ends early')
  expect(error.name).toBe('ProtocolError')
  expect(error.code).toBe('cbor-truncated')
  expect(error.cause).toBe(cause)
  expect(new ProtocolError('bundle-base64').cause).toBeUndefined()
})

test('a code has a family and a sentence', () => {
  expect(describeCode('bundle-base64')).toEqual({
    family: 'input',
    message: 'a member of the bundle is not strict base64url',
  })
  expect(describeCode('signature-invalid').family).toBe('evidence')
})

test('the codes are in order', () => {
  const codes = [...errorCodes]
  expect(codes.length).toBeGreaterThan(50)
  expect(codes.toSorted()).toEqual(codes)
})

test('every code has a family and a sentence', () => {
  for (const code of errorCodes) {
    const { family, message } = describeCode(toCode(code))
    expect(['evidence', 'input'], code).toContain(family)
    expect(message.length, code).toBeGreaterThan(10)
  }
})

function toCode(code: string): ErrorCode {
  if (!isCode(code)) throw new Error(code)
  return code
}

function isCode(code: string): code is ErrorCode {
  return errorCodes.has(code)
}
