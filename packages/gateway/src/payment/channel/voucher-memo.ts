/**
 * Headers that were read before, but for a new ceiling and signature. A payer repeats its offer and its channel in every
 * call; who sends the very same text around two new values is not parsed again (spec/payment.md PA15). Whoever could
 * have been refused for that text was admitted with it: only admitted payments are remembered.
 */
import { channelAmountBits, decodeChannelId } from '@countersign/protocol/payment/channel'
import {
  parseChannelPayload,
  type ChannelPayment,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import { encodeEvmSignature, parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseDecimal, type Hex } from '@countersign/protocol/payment/evm-word'
import { checkAccepted, type MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import {
  parsePaymentExtensions,
  type PaymentExtensions,
} from '@countersign/protocol/payment/payment-extensions'
import type { PresentedPayment } from '@countersign/protocol/payment/presented-payment'

/** A payment from a channel whose form, offer and terms were judged; its signature was not. */
export type ReadVoucher = {
  readonly payment: ChannelPayment
  readonly channelIdBytes: Uint8Array
  /** 65 bytes in lower-case hex. */
  readonly signature: Hex
  readonly mode: PaymentExtensions['channelMode']
  /** Nothing in it is meant for one call only. */
  readonly isRepeatable: boolean
}

/** Texts of admitted payments. */
export type VoucherMemo = {
  /** The payment in this header; `undefined` when its text is new, or was sent for another offer. */
  recall(header: string, offer: MeteredOffer): ReadVoucher | undefined
  /** Remembers the text of a payment that was just admitted for this offer. */
  learn(header: string, offer: MeteredOffer, read: ReadVoucher): void
}

/** What stands around the two values. */
type Template = {
  readonly offer: MeteredOffer
  /** What of the text before the ceiling is not in whole groups of base64. */
  readonly rest: string
  readonly middle: string
  readonly suffix: string
  readonly read: ReadVoucher
}

/** As `parsePaymentHeader` has it. */
const maxHeaderBytes = 8192
/** Some 2 kB each; beyond them the one that was learnt first is forgotten. */
const maxTemplates = 4096
/** Lengths of what stands before the ceiling: payers of one program have one or two. */
const maxLengths = 8
const ceilingName = '"maxClaimableAmount"'
const signatureName = '"signature"'
const ceilingMark = `${ceilingName}:"`
const signatureMark = `${signatureName}:"`
const signatureForm = /^0x[0-9a-fA-F]{130}$/
const signatureLength = 132

/** A memo that knows nothing. */
export function createVoucherMemo(): VoucherMemo {
  // Owned here; by all whole groups of base64 that stand before the ceiling, and how long those are.
  const templates = new Map<string, Template>()
  const lengths = new Set<number>()

  /** Only what comes behind the known part is decoded: a text has one form in base64, group by group. */
  function find(header: string, offer: MeteredOffer): VoucherValues | undefined {
    if (header.length > maxHeaderBytes) return undefined
    for (const length of lengths) {
      const template = templates.get(header.slice(0, length))
      if (template?.offer !== offer) continue
      const text = decodeCanonical(header.slice(length))
      const values =
        text?.startsWith(template.rest) === true ? takeValues(text, template) : undefined
      if (values !== undefined) return { ...values, read: template.read }
    }
    return undefined
  }

  return {
    recall: (header, offer) => {
      const values = find(header, offer)
      if (values === undefined) return undefined
      const maxClaimableAtomic = parseDecimal(values.ceiling, channelAmountBits)
      if (maxClaimableAtomic === undefined || !signatureForm.test(values.signature))
        return undefined
      const { payment, channelIdBytes, mode, isRepeatable } = values.read
      const { config, action } = payment
      const { channelId } = payment.voucher
      const signature = parseEvmSignature(values.signature)
      return {
        payment: { config, action, voucher: { channelId, maxClaimableAtomic, signature } },
        channelIdBytes,
        mode,
        isRepeatable,
        signature: `0x${values.signature.slice(2).toLowerCase()}`,
      }
    },
    learn: (header, offer, read) => {
      if (read.payment.action.kind !== 'voucher' || !read.isRepeatable) return
      const text = header.length > maxHeaderBytes ? undefined : decodeCanonical(header)
      const split = text === undefined ? undefined : splitText(text)
      if (split === undefined) return
      const { prefix, middle, suffix } = split
      const groups = Math.floor(prefix.length / 3)
      const known = header.slice(0, 4 * groups)
      makeRoom(lengths, 4 * groups, maxLengths)
      lengths.add(4 * groups)
      makeRoom(templates, known, maxTemplates)
      templates.set(known, { offer, rest: prefix.slice(3 * groups), middle, suffix, read })
    },
  }
}

/** What came first goes. */
function makeRoom<T>(
  kept: Pick<Map<T, unknown>, 'size' | 'has' | 'keys' | 'delete'>,
  next: T,
  most: number,
): void {
  if (kept.size < most || kept.has(next)) return
  const [first] = kept.keys()
  if (first !== undefined) kept.delete(first)
}

/** The bytes of canonical padded base64, one character each: there is one text for them. */
function decodeCanonical(header: string): string | undefined {
  const bytes = Buffer.from(header, 'base64')
  return bytes.toString('base64') === header ? bytes.toString('latin1') : undefined
}

type VoucherValues = {
  readonly ceiling: string
  readonly signature: string
  readonly read: ReadVoucher
}

/** The two values, when nothing else is other than in the template. */
function takeValues(
  text: string,
  { rest, middle, suffix }: Template,
): Pick<VoucherValues, 'ceiling' | 'signature'> | undefined {
  const ceilingAt = rest.length
  const middleAt = text.indexOf('"', ceilingAt)
  const signatureAt = middleAt + middle.length
  const suffixAt = signatureAt + signatureLength
  if (suffixAt + suffix.length !== text.length) return undefined
  if (!text.startsWith(middle, middleAt) || !text.endsWith(suffix)) return undefined
  return {
    ceiling: text.slice(ceilingAt, middleAt),
    signature: text.slice(signatureAt, suffixAt),
  }
}

type SplitText = { readonly prefix: string; readonly middle: string; readonly suffix: string }

/**
 * Without an escape each quotation mark begins or ends a piece of text, and a name is written in one way. Each of both
 * stands there once, whatever spaces follow: they are those of the voucher.
 */
function splitText(text: string): SplitText | undefined {
  const isPlain = !text.includes('\\')
  if (!isPlain || !standsOnce(text, ceilingName) || !standsOnce(text, signatureName))
    return undefined
  const ceilingAt = text.indexOf(ceilingMark) + ceilingMark.length
  const signatureAt = text.indexOf(signatureMark, ceilingAt) + signatureMark.length
  if (ceilingAt < ceilingMark.length || signatureAt < signatureMark.length) return undefined
  const middleAt = text.indexOf('"', ceilingAt)
  const suffix = text.slice(signatureAt + signatureLength)
  if (!suffix.startsWith('"')) return undefined
  const prefix = text.slice(0, ceilingAt)
  return { prefix, middle: text.slice(middleAt, signatureAt), suffix }
}

function standsOnce(text: string, part: string): boolean {
  const at = text.indexOf(part)
  return at !== -1 && !text.includes(part, at + 1)
}

/**
 * Reads a payment against its offer and the terms (PA15.2 to PA15.5).
 *
 * @throws PaymentError
 */
export function readVoucher(
  presented: PresentedPayment,
  offer: MeteredOffer,
  terms: ChannelTerms,
): ReadVoucher {
  checkAccepted(presented, offer)
  const { channelMode: mode, identifier, binding } = parsePaymentExtensions(presented)
  const payment = parseChannelPayload(presented.payload, terms)
  const { channelId, signature } = payment.voucher
  return {
    payment,
    mode,
    channelIdBytes: decodeChannelId(channelId),
    signature: encodeEvmSignature(signature),
    isRepeatable: identifier.kind === 'none' && binding.kind === 'none',
  }
}
