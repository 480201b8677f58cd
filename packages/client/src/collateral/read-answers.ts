/** What services of vendors answer, read into pieces of collateral. Nothing of it is believed before it is judged. */
import { parsePemCertificates } from '@countersign/protocol/attestation/x509/pem'
import { decodeUtf8, encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import type { CollateralAnswer } from './collateral-answer.ts'

type Pieces = ReadonlyMap<string, Uint8Array>

const statementForms = {
  'tcb-info': /^\{"tcbInfo":(\{.*\}),"signature":"([0-9a-fA-F]{128})"\}\s*$/s,
  'qe-identity': /^\{"enclaveIdentity":(\{.*\}),"signature":"([0-9a-fA-F]{128})"\}\s*$/s,
} as const
// Version 3 of the service called the first one differently.
const chainHeaders = {
  'tcb-info': ['tcb-info-issuer-chain', 'sgx-tcb-info-issuer-chain'],
  'qe-identity': ['sgx-enclave-identity-issuer-chain'],
} as const
const maxChainCharacters = 65_536

/** A statement of Intel: the text that is signed stays as it came. Its chain is in a header. */
export function readIntelStatement(
  name: 'tcb-info' | 'qe-identity',
): (answer: CollateralAnswer) => Pieces {
  return ({ body, header }) => {
    const [, text, hex] = statementForms[name].exec(decodeUtf8(body) ?? '') ?? []
    const signature = fromHex(hex?.toLowerCase() ?? '')
    const encoded = chainHeaders[name].map(header).find((value) => value !== null)
    const chain = decodePercent(encoded ?? '')
    if (text === undefined || signature === undefined || chain === undefined) refuse(name)
    return new Map([
      [name, encodeUtf8(text)],
      [`${name}-signature`, signature],
      [`${name}-chain`, encodeUtf8(chain)],
    ])
  }
}

/** A revocation list in DER. */
export function readList(name: string): (answer: CollateralAnswer) => Pieces {
  return ({ body }) => new Map([[name, needDer(name, body)]])
}

/** A certificate in DER. */
export function readCertificate(name: string): (answer: CollateralAnswer) => Pieces {
  return readList(name)
}

/** Two certificates in PEM: the intermediate, then the root. */
export function readAmdChain({ body }: CollateralAnswer): Pieces {
  const [ask, ark, ...rest] = certificatesOf(body)
  if (ask === undefined || ark === undefined || rest.length > 0) refuse('cert_chain')
  return new Map([
    ['ask', ask],
    ['ark', ark],
  ])
}

/** A set of keys, as it came. */
export function readKeySet({ body }: CollateralAnswer): Pieces {
  if (decodeUtf8(body)?.trimStart().startsWith('{') !== true) refuse('key-set')
  return new Map([['key-set', body]])
}

function certificatesOf(body: Uint8Array): readonly Uint8Array[] {
  try {
    return parsePemCertificates(body)
  } catch (cause) {
    throw new ClientError('collateral-malformed', { detail: 'cert_chain', cause })
  }
}

function needDer(name: string, body: Uint8Array): Uint8Array {
  // A page that says "not found" with status 200 is none.
  return body[0] === 0x30 ? body : refuse(name)
}

function decodePercent(text: string): string | undefined {
  if (text === '' || text.length > maxChainCharacters) return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function refuse(name: string): never {
  throw new ClientError('collateral-malformed', { detail: name })
}
