/** The body of /verify and /settle: its envelope (spec/payment.md PA27.2). The payload belongs to its scheme. */
import { decodeJson, type JsonMap } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, parseDecimal, type Hex } from '@countersign/protocol/payment/evm-word'
import { isJsonMap } from '@countersign/protocol/payment/json-members'
import { FacilitatorRefusal, type SchemeName } from './refusal.ts'

/** What a server asks. Addresses are lower case. */
export type FacilitatorRequest = {
  readonly scheme: SchemeName
  readonly network: string
  readonly asset: Hex
  readonly payTo: Hex
  /** Of the requirements: the price, or what is charged. */
  readonly amountAtomic: bigint
  /** Of the offer that the payer accepted. */
  readonly acceptedAtomic: bigint
  /** Of the requirements. */
  readonly extra: JsonMap
  readonly payload: JsonMap
}

/** The largest body: a claim of a hundred rows has some 80 KB. */
export const maxBodyBytes = 131_072

const payloadNames = ['x402Version', 'accepted', 'payload']
const empty: JsonMap = new Map()

/**
 * Reads a body. `extensions` and `resource` are not ours, may hold anything and are left out before the strict reading.
 *
 * @throws FacilitatorRefusal with status 400 when the server is at fault, else 200.
 */
export function parseFacilitatorRequest(body: Uint8Array): FacilitatorRequest {
  const members = decodeEnvelope(body)
  const payment = members.get('paymentPayload')
  const requirements = members.get('paymentRequirements')
  if (!isJsonMap(payment) || !isJsonMap(requirements)) {
    throw badRequest('Expected are paymentPayload and paymentRequirements.')
  }
  for (const version of [members.get('x402Version'), payment.get('x402Version')]) {
    if (version !== 2) {
      throw new FacilitatorRefusal('invalid_x402_version', 'x402Version is not 2.', { status: 400 })
    }
  }
  const read = readRequirements(requirements)
  const accepted = payment.get('accepted')
  const payload = payment.get('payload')
  if (!isJsonMap(accepted) || !isJsonMap(payload)) {
    throw new FacilitatorRefusal('invalid_payload', 'The payment has no accepted or no payload.')
  }
  return { ...read, acceptedAtomic: readAccepted(accepted, read), payload }
}

function decodeEnvelope(body: Uint8Array): JsonMap {
  const members = decodeJson(new TextEncoder().encode(withoutExtensions(body)))
  if (!isJsonMap(members)) throw badRequest('The body is no strict JSON object.')
  return members
}

function withoutExtensions(body: Uint8Array): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    const envelope: unknown = JSON.parse(text)
    return JSON.stringify({
      x402Version: memberOf(envelope, 'x402Version'),
      paymentPayload: pick(memberOf(envelope, 'paymentPayload'), payloadNames),
      paymentRequirements: memberOf(envelope, 'paymentRequirements'),
    })
  } catch (cause) {
    // SyntaxError and TypeError of the text, RangeError of its depth.
    throw badRequest('The body is not JSON in UTF-8.', cause)
  }
}

/** What is no object stays what it is. */
function pick(value: unknown, names: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(names.map((name) => [name, memberOf(value, name)]))
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return Reflect.get(value, name)
}

function readRequirements(
  requirements: JsonMap,
): Omit<FacilitatorRequest, 'acceptedAtomic' | 'payload'> {
  const asset = parseAddress(requirements.get('asset'))
  const payTo = parseAddress(requirements.get('payTo'))
  const amountAtomic = parseDecimal(requirements.get('amount'), 256n)
  const network = requirements.get('network')
  const extra = requirements.get('extra') ?? empty
  const isRead =
    asset !== undefined &&
    payTo !== undefined &&
    amountAtomic !== undefined &&
    typeof network === 'string' &&
    isJsonMap(extra)
  if (!isRead) {
    throw new FacilitatorRefusal(
      'invalid_payment_requirements',
      'The requirements are malformed.',
      {
        status: 400,
      },
    )
  }
  return { scheme: readScheme(requirements), network, asset, payTo, amountAtomic, extra }
}

function readScheme(requirements: JsonMap): SchemeName {
  const scheme = requirements.get('scheme')
  if (scheme === 'exact' || scheme === 'upto' || scheme === 'batch-settlement') return scheme
  throw new FacilitatorRefusal('unsupported_scheme', 'Another scheme than those of /supported.')
}

/** Only `upto` may charge less than was accepted; its own reader compares that. */
function readAccepted(
  accepted: JsonMap,
  requirements: Omit<FacilitatorRequest, 'acceptedAtomic' | 'payload'>,
): bigint {
  const { scheme, network, asset, payTo, amountAtomic } = requirements
  if (accepted.get('scheme') !== scheme) {
    throw new FacilitatorRefusal('unsupported_scheme', 'Another scheme was accepted.')
  }
  if (accepted.get('network') !== network) {
    throw new FacilitatorRefusal('invalid_network', 'Another network was accepted.')
  }
  const acceptedAtomic = parseDecimal(accepted.get('amount'), 256n)
  const isSame =
    parseAddress(accepted.get('asset')) === asset && parseAddress(accepted.get('payTo')) === payTo
  if (!isSame || acceptedAtomic === undefined) throw otherOffer()
  if (scheme === 'exact' && acceptedAtomic !== amountAtomic) throw otherOffer()
  return acceptedAtomic
}

function otherOffer(): FacilitatorRefusal {
  return new FacilitatorRefusal('invalid_payment_requirements', 'Another offer was accepted.')
}

function badRequest(message: string, cause?: unknown): FacilitatorRefusal {
  return new FacilitatorRefusal('invalid_payload', message, { status: 400, cause })
}
