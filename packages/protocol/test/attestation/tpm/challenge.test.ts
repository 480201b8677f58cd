import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  challengeTpm,
  concludeChallenge,
  encodeCredential,
  encodeEnrolmentRequest,
  parseCredential,
} from '@countersign/protocol/attestation/tpm/challenge'
import {
  isSignedByChallenger,
  parseEnrolment,
} from '@countersign/protocol/attestation/tpm/enrolment'
import { parseTpmEvidence } from '@countersign/protocol/attestation/tpm/tpm-evidence'
import { tpmName } from '@countersign/protocol/attestation/tpm/tpm-public'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import {
  endorsementUse,
  forgeEndorsementChain,
  forgeTpmEvidence,
  testChallenger,
  tpmPins,
  tpmTimeMs,
  type TpmEdit,
} from '../../../../../test/vectors/attestation/forge-tpm.ts'
import type { CertificatePlan } from '../../../../../test/vectors/attestation/certificate.ts'
import { encodeRsaPublic } from './rsa-public.ts'

const key = createPublicKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
const spki = Uint8Array.from(key.export({ type: 'spki', format: 'der' }))
const random = { secret: new Uint8Array(32).fill(1), seed: new Uint8Array(32).fill(2) }
const ekPublic = encodeRsaPublic(key)

/** The chain with this RSA key at its end, root first. */
function chain(part: Partial<CertificatePlan> = {}): readonly Uint8Array[] {
  return forgeEndorsementChain((plans) =>
    plans.map((plan, depth) =>
      depth === 2 ? { ...plan, key: { ...plan.key, spki }, ...part } : plan,
    ),
  )
}

function akOf(edit: TpmEdit = {}): Uint8Array {
  return parseTpmEvidence(forgeTpmEvidence(edit)).ak.bytes
}

function request(part: object = {}): Uint8Array {
  const [, , ekCertificate = new Uint8Array(0)] = chain()
  return encodeEnrolmentRequest({ ekCertificate, ekPublic, akPublic: akOf(), ...part })
}

const authorities = { roots: new Set(tpmPins), certificates: chain().slice(0, 2).toReversed() }

test('challenges a TPM whose EK certificate leads to a pinned root, and states the right answer', async () => {
  const challenge = await challengeTpm(request(), authorities, tpmTimeMs, random)
  expect(challenge.endorsementChain).toEqual(chain())
  expect(parseCredential(encodeCredential(challenge.credential))).toEqual(challenge.credential)
  const dates = { notBeforeMs: tpmTimeMs, notAfterMs: tpmTimeMs + 1 }
  const record = concludeChallenge(challenge, random.secret, testChallenger, dates)
  const enrolment = parseEnrolment(record)
  expect(await isSignedByChallenger(enrolment)).toBe(true)
  expect(enrolment).toMatchObject({ ...dates, endorsementChain: chain() })
  expect(enrolment.akName).toEqual(await tpmName(parseTpmEvidence(forgeTpmEvidence()).ak))
  const wrong = [randomBytes(32), random.secret.subarray(1), new Uint8Array(0)]
  for (const answer of wrong) {
    expect(() => concludeChallenge(challenge, answer, testChallenger, dates)).toThrow(
      'tpm-challenge-failed',
    )
  }
})

test('takes a certificate that the root itself issued', async () => {
  const [rootDer = new Uint8Array(0)] = chain()
  const direct = forgeEndorsementChain((plans) => {
    const [root, , leaf] = plans
    if (root === undefined || leaf === undefined) return plans
    return [{ ...leaf, issuer: root.subject, issuerKey: root.key, key: { ...leaf.key, spki } }]
  })
  const [ekCertificate] = direct
  const challenge = await challengeTpm(
    request({ ekCertificate }),
    { roots: new Set(tpmPins), certificates: [rootDer] },
    tpmTimeMs,
    random,
  )
  expect(challenge.endorsementChain).toEqual([rootDer, ekCertificate])
})

test('challenges nobody else', async () => {
  const other = createPublicKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
  const [, , unfit = new Uint8Array(0)] = chain({ extensions: [] })
  const ended = chain({ notAfterMs: tpmTimeMs - 1000 })[2]
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ['bytes that are no request', randomBytes(8), 'tpm-malformed'],
    ['a request of more than 16,384 bytes', new Uint8Array(16_385), 'tpm-malformed'],
    [
      'an AK that signs anything',
      request({ akPublic: akOf({ akPublic: () => ({ attributes: 0x40072 }) }) }),
      'tpm-key',
    ],
    [
      'an EK that is not the one of the certificate',
      request({ ekPublic: encodeRsaPublic(other) }),
      'tpm-endorsement-certificate',
    ],
    ['an EK on a curve', request({ ekPublic: akOf() }), 'tpm-endorsement-certificate'],
    [
      'a certificate without its purpose',
      request({ ekCertificate: unfit }),
      'certificate-malformed',
    ],
    ['a certificate that has ended', request({ ekCertificate: ended }), 'certificate-expired'],
    [
      'an EK that also signs',
      request({ ekPublic: encodeRsaPublic(key, { attributes: 0x000700b2 }) }),
      'tpm-key',
    ],
    [
      'a byte behind the EK',
      request({ ekPublic: concatBytes(ekPublic, Uint8Array.of(0)) }),
      'tpm-malformed',
    ],
  ]
  for (const [name, bytes, code] of rows) {
    await expect(challengeTpm(bytes, authorities, tpmTimeMs, random), name).rejects.toMatchObject({
      code,
    })
  }
})

test('trusts no chain that it cannot build to a pinned root', async () => {
  const [root = new Uint8Array(0), issuer = new Uint8Array(0)] = chain()
  const rows: readonly (readonly [string, readonly Uint8Array[], readonly string[]])[] = [
    ['no certificate at all', [], tpmPins],
    ['no intermediate', [root], tpmPins],
    ['no root', [issuer], tpmPins],
    ['no pin', [root, issuer], []],
  ]
  for (const [name, certificates, pins] of rows) {
    const given = { roots: new Set(pins), certificates }
    await expect(challengeTpm(request(), given, tpmTimeMs, random), name).rejects.toMatchObject({
      code: 'chain-root-untrusted',
    })
  }
})

test('authorities that name one another in a circle end after six certificates', async () => {
  const circle = forgeEndorsementChain((plans) =>
    plans.map((plan, depth) => {
      const other = depth === 0 ? plans[1] : plan
      return { ...plan, issuer: other?.subject ?? '', extensions: [endorsementUse] }
    }),
  )
  const [, , leaf] = chain()
  const given = { roots: new Set(tpmPins), certificates: [...circle] }
  await expect(
    challengeTpm(request({ ekCertificate: leaf }), given, tpmTimeMs, random),
  ).rejects.toMatchObject({
    code: 'chain-root-untrusted',
  })
})
