/** What signs: an account that knows EIP-712, and nothing else of it is used. */
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'

/** EIP-712 typed data. */
export type PaymentTypedData = {
  readonly domain: {
    readonly name: string
    readonly version?: string
    readonly chainId: number
    readonly verifyingContract: Hex
  }
  readonly types: Readonly<
    Record<string, readonly { readonly name: string; readonly type: string }[]>
  >
  readonly primaryType: string
  readonly message: Readonly<Record<string, unknown>>
}

/** Who pays: a viem `LocalAccount` fits, and so does anything that signs EIP-712 typed data for its address. */
export type PaymentSigner = {
  readonly address: Hex
  signTypedData(typedData: PaymentTypedData): Promise<Hex>
}

const signatureForm = /^0x(?:[0-9a-fA-F]{2}){65,512}$/
const chainForm = /^eip155:([1-9][0-9]{0,14})$/

/** The signature in hex. @throws ClientError `signer-failed`. */
export async function signTypedData(
  signer: PaymentSigner,
  typedData: PaymentTypedData,
): Promise<string> {
  let signature: unknown
  try {
    signature = await signer.signTypedData(typedData)
  } catch (cause) {
    throw new ClientError('signer-failed', { cause })
  }
  if (typeof signature !== 'string' || !signatureForm.test(signature)) {
    throw new ClientError('signer-failed', { detail: 'no signature in hex' })
  }
  return signature
}

/** The number of an EVM network. @throws ClientError `options-invalid`: the caller allowed another network. */
export function readChainId(network: string): number {
  const [, chainId] = chainForm.exec(network) ?? []
  if (chainId === undefined) {
    throw new ClientError('options-invalid', { detail: `${network} is no EVM network` })
  }
  return Number(chainId)
}

/** The address of an account, in lower case. @throws ClientError `options-invalid`. */
export function readSigner({ address }: PaymentSigner): Hex {
  const parsed = parseAddress(address)
  if (parsed === undefined) {
    throw new ClientError('options-invalid', { detail: `${address} is no address` })
  }
  return parsed
}
