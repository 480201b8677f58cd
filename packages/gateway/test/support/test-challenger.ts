/** A challenger with a key of its own, as a service on loopback would be. */
import { randomBytes } from 'node:crypto'
import {
  challengeTpm,
  concludeChallenge,
  encodeCredential,
  type EndorsementAuthorities,
  type TpmChallenge,
} from '@countersign/protocol/attestation/tpm/challenge'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Challenger } from '../../src/enclave/tpm/enrol.ts'
import { createReceiptKey } from '../../src/keys/receipt-key.ts'
import type { RunningSwtpm } from './start-swtpm.ts'

/** The challenger and the pin of its key. */
export interface TestChallenger extends Challenger {
  readonly pin: string
}

const yearMs = 31_536_000_000

/** Trusts the authority of one swtpm. Records begin an hour before they are made and hold for a year. */
export function createTestChallenger(swtpm: RunningSwtpm): TestChallenger {
  const key = createReceiptKey()
  const open = new Map<string, TpmChallenge>()
  return {
    pin: toHex(sha256(key.publicKey)),
    challenge: async (request) => {
      const random = { secret: randomBytes(32), seed: randomBytes(32) }
      const challenge = await challengeTpm(request, authoritiesOf(swtpm), Date.now(), random)
      const id = randomBytes(16).toString('hex')
      open.set(id, challenge)
      return { id, credential: encodeCredential(challenge.credential) }
    },
    conclude: async (id, answer) => {
      const challenge = open.get(id)
      open.delete(id)
      if (challenge === undefined) throw new Error('no such challenge')
      const nowMs = Date.now()
      const dates = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + yearMs }
      return concludeChallenge(challenge, answer, key, dates)
    },
  }
}

/** The test authority of a swtpm. */
function authoritiesOf(swtpm: RunningSwtpm): EndorsementAuthorities {
  return {
    roots: new Set([swtpm.rootDigest]),
    certificates: [swtpm.rootCertificate, swtpm.issuerCertificate],
  }
}
