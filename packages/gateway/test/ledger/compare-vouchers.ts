/** `compare-vouchers.ts [COUNT] [SEED]`: our digests and recovery against viem's, voucher by voucher. */
import { keccak256 } from '@countersign/protocol/crypto/keccak256'
import { createBatchDomain, decodeChannelId } from '@countersign/protocol/payment/channel'
import { encodeEvmSignature, parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { toHex as hexOf } from '@countersign/protocol/bytes/text-encoding'
import { hashTypedData, recoverAddress, toHex, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'
import { createRandom } from './random.ts'

const [countText = '100000', seed = '1'] = process.argv.slice(2)
const count = Number(countText)
const random = createRandom(Number(seed))
const curve = await loadEvmCurve()
const contract = '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003'
const types = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'maxClaimableAmount', type: 'uint128' },
  ],
} as const
const tally = { compared: 0, accepted: 0, refusedAsStrict: 0, otherSigner: 0, noSigner: 0 }

function randomWord(): Hex {
  return toHex(keccak256(Buffer.from(`${seed} ${random.below(2 ** 32)} ${random.below(2 ** 32)}`)))
}

for (let index = 0; index < count; index++) {
  const chainId = random.pick([1, 8453, 84_532, 31_337])
  const domain = createBatchDomain(BigInt(chainId), contract, curve.keccak256)
  const channelId = randomWord()
  const maxClaimableAmount = BigInt(randomWord()) >> BigInt(128 + random.below(128))
  const digest = domain.hashVoucher(decodeChannelId(channelId), maxClaimableAmount)
  const theirs = hashTypedData({
    domain: { name: 'x402 Batch Settlement', version: '1', chainId, verifyingContract: contract },
    types,
    primaryType: 'Voucher',
    message: { channelId, maxClaimableAmount },
  })
  if (toHex(digest) !== theirs) throw new Error(`voucher ${index}: another digest`)
  const key = randomWord()
  const account = privateKeyToAccount(key)
  const signed = curve.sign(digest, Buffer.from(key.slice(2), 'hex'))
  await compare(index, digest, disturb(encodeEvmSignature(signed)), account.address)
}
process.stdout.write(`${JSON.stringify(tally)}\n`)

/** Mostly as signed; sometimes with another byte. */
function disturb(signature: Hex): Hex {
  if (random.chance(50)) return signature
  const at = 2 + random.below(130)
  return `0x${(signature.slice(0, at) + random.below(16).toString(16) + signature.slice(at + 1)).slice(2)}`
}

/** Who is accepted by us is who viem recovers; what only we refuse is what contracts refuse. */
async function compare(
  index: number,
  digest: Uint8Array,
  signature: Hex,
  signer: string,
): Promise<void> {
  const theirs = await recoverAddress({ hash: toHex(digest), signature }).catch(() => undefined)
  tally.compared++
  try {
    const ours = curve.recoverAddress(digest, parseEvmSignature(signature))
    const address = ours === undefined ? undefined : `0x${hexOf(ours)}`
    if (address !== theirs?.toLowerCase()) throw new Error(`voucher ${index}: another signer`)
    if (address === undefined) tally.noSigner++
    else if (address === signer.toLowerCase()) tally.accepted++
    else tally.otherSigner++
  } catch (error) {
    if (!(error instanceof PaymentError)) throw error
    const v = signature.slice(130)
    const highS = BigInt(`0x${signature.slice(66, 130)}`) >> 255n !== 0n
    const strict = (v !== '1b' && v !== '1c') || highS || theirs === undefined
    if (!strict) throw new Error(`voucher ${index}: refused without a reason`, { cause: error })
    tally.refusedAsStrict++
  }
}
