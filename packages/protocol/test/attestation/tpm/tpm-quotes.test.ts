import { createHash, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import { tpmName, parseTpmPublic } from '@countersign/protocol/attestation/tpm/tpm-public'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import {
  forgeEnrolment,
  forgeTpmCollateral,
  forgeTpmEvidence,
  sized,
  tpmPins,
  tpmTimeMs,
  u16,
} from '../../../../../test/vectors/attestation/forge-tpm.ts'
import { encodeRsaPublic } from './rsa-public.ts'

test('a quote by an RSA key is taken, under a name by SHA-384 too', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const scheme = concatBytes(u16(0x14), u16(0x0b))
  for (const nameAlgorithm of [0x0b, 0x0c]) {
    const akPublic = encodeRsaPublic(createPublicKey(privateKey), {
      attributes: 0x00050072,
      symmetricBits: 0,
      scheme,
      nameAlgorithm,
    })
    const akName = await tpmName(parseTpmPublic(akPublic))
    expect(akName.length).toBe(nameAlgorithm === 0x0b ? 34 : 50)
    const raw = forgeTpmEvidence({
      parts: ({ attest }) => ({
        akPublic,
        signature: concatBytes(scheme, sized(sign('sha256', attest, privateKey))),
      }),
    })
    const collateral = forgeTpmCollateral({ 'tpm-enrolment': forgeEnrolment({ akName }) })
    const options = { asOfMs: tpmTimeMs, roots: new Set(tpmPins) }
    const { checks } = await appraiseTpm({ raw, collateral }, options)
    expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
    expect(checks.filter(({ status }) => status === 'passed').map(({ id }) => id)).toEqual([
      'format',
      'root',
      'chain',
      'validity',
      'signature',
      'configuration',
    ])
  }
})

test('a quote by a key on P-384 is hashed with SHA-384', async () => {
  let digest = new Uint8Array(0)
  const raw = forgeTpmEvidence({
    curve: 'P-384',
    attest: ({ pcrDigest }) => {
      digest = Uint8Array.from(pcrDigest)
      return {}
    },
  })
  expect(digest.length).toBe(createHash('sha384').digest().length)
  const { checks } = await appraiseTpm(
    { raw, collateral: forgeTpmCollateral() },
    { asOfMs: tpmTimeMs, roots: new Set(tpmPins) },
  )
  expect(checks.find(({ id }) => id === 'signature')?.status).toBe('passed')
})

test('says what it measured, and which machine it is', async () => {
  const evidence = { raw: forgeTpmEvidence(), collateral: forgeTpmCollateral() }
  const { claims } = await appraiseTpm(evidence, { asOfMs: tpmTimeMs, roots: new Set(tpmPins) })
  expect(claims).toMatchObject({ root: tpmPins[0], tcb: { kind: 'none' }, settings: [] })
  expect(claims?.machine).toMatch(/^[0-9a-f]{64}$/)
  expect([...(claims?.measurements.keys() ?? [])]).toEqual([
    'selection',
    'resets',
    'restarts',
    'pcr0',
    'pcr4',
    'pcr7',
    'pcr14',
    'countersign/build',
    'countersign/configuration',
  ])
  expect(claims?.measurements.get('selection')).toBe('914000')
  const high = forgeTpmEvidence({ pcrs: (pcrs) => new Map(pcrs).set(23, new Uint8Array(32)) })
  const more = await appraiseTpm(
    { ...evidence, raw: high },
    { asOfMs: tpmTimeMs, roots: new Set(tpmPins) },
  )
  expect(more.claims?.measurements.get('selection')).toBe('914080')
  const unsafe = { ...evidence, raw: forgeTpmEvidence({ attest: () => ({ safe: 0 }) }) }
  const other = await appraiseTpm(unsafe, { asOfMs: tpmTimeMs, roots: new Set(tpmPins) })
  expect(other.claims?.settings).toEqual(['clock-unsafe'])
  const unendorsed = { ...evidence, collateral: new Map<string, Uint8Array>() }
  const nobody = await appraiseTpm(unendorsed, { asOfMs: tpmTimeMs, roots: new Set(tpmPins) })
  expect(nobody.claims?.root).toBe('')
  expect(nobody.claims).not.toHaveProperty('machine')
})

test('refuses bits turned in evidence, enrolment and log', async () => {
  const options = { asOfMs: tpmTimeMs, roots: new Set(tpmPins) }
  const right = forgeTpmEvidence()
  const collateral = forgeTpmCollateral()
  let turned = 0
  for (const [name, bytes] of [['raw', right] as const, ...collateral]) {
    // Signatures are over the whole of both: some of their bytes are enough.
    const step = { raw: 3, 'tpm-enrolment': 13 }[name] ?? 1
    for (let at = 0; at < bytes.length; at += step) {
      const wrong = bytes.with(at, (bytes[at] ?? 0) ^ 1)
      const evidence =
        name === 'raw'
          ? { raw: wrong, collateral }
          : { raw: right, collateral: new Map(collateral).set(name, wrong) }
      const { checks } = await appraiseTpm(evidence, options)
      const failed = checks.some(({ status }) => status === 'failed')
      expect(failed, `byte ${at} of ${name}`).toBe(true)
      turned++
    }
  }
  expect(turned).toBeGreaterThan(300)
})
