/** A challenger over HTTP: POST /challenge with the request, POST /conclude/{id} with the answer, both CBOR bodies. */
import { readHttp } from '../read-http.ts'
import { AttestationError } from '../attestation-error.ts'
import type { Challenger } from './enrol.ts'

const maxBodyBytes = 65_536
const idForm = /^[0-9a-f]{32}$/

/** What an HTTP challenger at this base URL offers. The id of a challenge comes in the header `x-challenge-id`. */
export function createHttpChallenger(baseUrl: string, timeoutMs: number): Challenger {
  const base = baseUrl.replace(/\/$/, '')
  const post = (path: string, body: Uint8Array): ReturnType<typeof readHttp> =>
    readHttp({ kind: 'url', url: `${base}${path}` }, body, 'application/cbor', {
      maxBytes: maxBodyBytes,
      timeoutMs,
    })
  return {
    challenge: async (request) => {
      const { headers, body } = await post('/challenge', request)
      const id = headers['x-challenge-id']
      // What comes back becomes a part of a path: nothing but an id may.
      if (typeof id !== 'string' || !idForm.test(id)) {
        throw new AttestationError('attester-malformed', 'id of a challenge')
      }
      return { id, credential: body }
    },
    conclude: async (id, answer) => (await post(`/conclude/${id}`, answer)).body,
  }
}
