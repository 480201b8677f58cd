import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openSignedPolicy, signPolicy } from '@countersign/protocol/attestation/signed-policy'
import { fromBase64url, fromHex, toHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { ProtocolError } from '@countersign/protocol/errors'
import { seededSigner } from '../../../../test/vectors/signers.ts'

type Case = {
  readonly name: string
  readonly policy: string
  readonly signers: readonly string[]
  readonly now: number
  readonly issuedFrom?: number
  readonly expect: { readonly digest?: string; readonly code?: string }
}

const file = new URL('../../../../vectors/signed-policies.json', import.meta.url)
const cases: readonly Case[] = JSON.parse(readFileSync(file, 'utf8'))

function bytesOf(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error('not decodable')
  return bytes
}

test.each(cases)('$name', async ({ policy, signers, now, issuedFrom, expect: wanted }) => {
  const keys = signers.map((key) => bytesOf(fromHex(key)))
  const opened = openSignedPolicy(bytesOf(fromBase64url(policy)), keys, now, issuedFrom)
  if (wanted.code === undefined) {
    expect(toHex(sha256((await opened).policyBytes))).toBe(wanted.digest)
  } else {
    await expect(opened).rejects.toMatchObject({ code: wanted.code })
  }
})

test('gives what was signed, and takes it at no time that is not a number', async () => {
  const signer = seededSigner('policy')
  const terms = { issuer: 'a', issuedAtSeconds: 10, expiresAtSeconds: 20 }
  const policyBytes = Uint8Array.of(1, 2, 3)
  const signed = signPolicy(policyBytes, terms, signer)
  expect(await openSignedPolicy(signed, [signer.publicKey], 15_000)).toEqual({
    ...terms,
    policyBytes,
  })
  await expect(openSignedPolicy(signed, [signer.publicKey], Number.NaN)).rejects.toMatchObject({
    code: 'policy-expired',
  })
  const since = openSignedPolicy(signed, [signer.publicKey], 15_000, Number.NaN)
  await expect(since).rejects.toMatchObject({ code: 'policy-withdrawn' })
})

test('any single bit that is turned is refused', async () => {
  const signer = seededSigner('policy')
  const terms = { issuer: 'a', issuedAtSeconds: 10, expiresAtSeconds: 20 }
  const signed = signPolicy(Uint8Array.of(1), terms, signer)
  for (let bit = 0; bit < signed.length * 8; bit++) {
    const turned = signed.slice()
    turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await expect(openSignedPolicy(turned, [signer.publicKey], 15_000)).rejects.toBeInstanceOf(
      ProtocolError,
    )
  }
})

test('the largest policy fits, and a byte more does not', async () => {
  const signer = seededSigner('policy')
  const terms = { issuer: 'a', issuedAtSeconds: 10, expiresAtSeconds: 20 }
  const around = signPolicy(new Uint8Array(65_536), terms, signer).length - 65_536
  for (const [sizeBytes, code] of [
    [66_560, undefined],
    [66_561, 'cbor-too-large'],
  ] as const) {
    const signed = signPolicy(new Uint8Array(sizeBytes - around), terms, signer)
    expect(signed).toHaveLength(sizeBytes)
    const opened = openSignedPolicy(signed, [signer.publicKey], 15_000)
    if (code === undefined) await opened
    else await expect(opened).rejects.toMatchObject({ code })
  }
})
