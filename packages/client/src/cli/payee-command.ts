/** `countersign payee`: what was claimed from channels is brought to its payee. Anybody may do that; no key of a gateway is needed. */
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { checkChain, createChainReader, type ChainReader } from '../chain/chain-reader.ts'
import { encodeCall, readWord, readWords } from '../chain/contract-call.ts'
import { sendTransaction } from '../chain/send-transaction.ts'
import { ClientError } from '../errors.ts'
import { channelContractsOn, type ChannelContracts } from '../pay/channel-contracts.ts'
import { baseSepoliaUsdc, baseUsdc } from '../pay/spending-limits.ts'
import { parseCommandLine, UsageError, type Command, type CommandContext } from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { openKeystore } from './wallet-command.ts'

/** The command. */
export const payeeCommand: Command = {
  help: `usage: countersign payee show ADDRESS --rpc URL [--network NAME] [--asset ADDRESS]
       countersign payee collect ADDRESS --rpc URL --keystore FILE [--network NAME] [--asset ADDRESS]

What a gateway claims from channels lies in the batch contract until somebody calls settle, and where the payee is a
GatewayPayee contract, there until somebody calls forward; its owner gets it. A gateway with payment.collect does both by
itself; so does collect. It needs no key of the gateway, and the gateway may run: anybody may send these calls, and nobody can turn them to another address.

  --rpc URL             a node of the chain
  --keystore FILE       any key with ether for gas; not the settlement key of a gateway
  --network NAME        default ${baseSepoliaUsdc.network}
  --asset ADDRESS       default: USDC of the network
  --password-file FILE  as for countersign wallet

exit code: 0 done, 64 wrong usage, 66 a file cannot be read, 69 refused or no chain

example:
  countersign payee collect 0x9fE4… --keystore wallet.json --rpc http://127.0.0.1:8545
`,
  run,
}

type Values = {
  readonly rpc?: string | undefined
  readonly keystore?: string | undefined
  readonly network: string
  readonly asset?: string | undefined
  readonly 'password-file'?: string | undefined
}

type Payee = {
  readonly contracts: ChannelContracts
  readonly reader: ChainReader
  readonly rpcUrl: string
  readonly address: Hex
  readonly asset: Hex
}

type Held = {
  /** Claimed, and still in the batch contract. */
  readonly inContractAtomic: bigint
  readonly heldAtomic: bigint
  /** Whom `forward` of a payee contract pays; undefined for an ordinary account. */
  readonly owner: Hex | undefined
}

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    rpc: { type: 'string' },
    keystore: { type: 'string' },
    network: { type: 'string', default: baseSepoliaUsdc.network },
    asset: { type: 'string' },
    'password-file': { type: 'string' },
  })
  const [action, text, ...more] = positionals
  const address = parseAddress(text)
  if ((action !== 'show' && action !== 'collect') || address === undefined || more.length > 0) {
    throw new UsageError('payee takes one of: show ADDRESS, collect ADDRESS')
  }
  const payee = await openPayee(address, values)
  return action === 'show' ? show(payee, context) : collect(payee, values, context)
}

async function openPayee(address: Hex, { rpc, network, asset }: Values): Promise<Payee> {
  if (rpc === undefined || !URL.canParse(rpc)) throw new UsageError('--rpc takes a URL')
  const known = [baseSepoliaUsdc, baseUsdc].find((each) => each.network === network)
  const token = parseAddress(asset ?? known?.address)
  if (token === undefined) throw new UsageError('--asset takes an address')
  const contracts = channelContractsOn(network)
  const reader = createChainReader(rpc)
  await checkChain(reader, BigInt(contracts.chainId))
  return { contracts, reader, rpcUrl: rpc, address, asset: token }
}

async function show(payee: Payee, { terminal: { out } }: CommandContext): Promise<ExitCode> {
  const { inContractAtomic, heldAtomic, owner } = await readHeld(payee)
  out.write(`in the batch contract  ${inContractAtomic}\n`)
  out.write(`held by the payee      ${heldAtomic}\n`)
  if (owner !== undefined) out.write(`owner of the payee     ${owner}\n`)
  return exitCodes.ok
}

async function collect(payee: Payee, values: Values, context: CommandContext): Promise<ExitCode> {
  const { out } = context.terminal
  const { contracts, address, asset, rpcUrl } = payee
  const held = await readHeld(payee)
  if (values.keystore === undefined) throw new UsageError('--keystore is missing')
  const isNothing =
    held.inContractAtomic === 0n && (held.owner === undefined || held.heldAtomic === 0n)
  if (isNothing) {
    out.write('nothing to collect\n')
    return exitCodes.ok
  }
  const account = await openKeystore(values.keystore, values['password-file'], context)
  const { chainId, batch } = contracts
  if (held.inContractAtomic > 0n) {
    const data = encodeCall('settle(address,address)', [address, asset])
    const hash = await sendTransaction(account, rpcUrl, chainId, { to: batch, data })
    out.write(`settled ${held.inContractAtomic} to ${address} in ${hash}\n`)
  }
  if (held.owner === undefined) return exitCodes.ok
  const { heldAtomic } = await readHeld(payee)
  const data = encodeCall('forward(address)', [asset])
  const hash = await sendTransaction(account, rpcUrl, chainId, { to: address, data })
  out.write(`forwarded ${heldAtomic} to ${held.owner} in ${hash}\n`)
  return exitCodes.ok
}

async function readHeld({ reader, contracts, address, asset }: Payee): Promise<Held> {
  const [receiver, heldAtomic, code] = await Promise.all([
    readWords(reader, contracts.batch, 'receivers(address,address)', [address, asset], 2),
    readWord(reader, asset, 'balanceOf(address)', [address]),
    reader.getCode(address),
  ])
  const [claimed = 0n, settled = 0n] = receiver
  // Another contract may have no owner: what it holds is its own business.
  const owner =
    code === '0x'
      ? undefined
      : await readWord(reader, address, 'owner()').catch((error: unknown) => {
          if (error instanceof ClientError) return undefined
          throw error
        })
  return {
    inContractAtomic: claimed - settled,
    heldAtomic,
    owner: owner === undefined ? undefined : `0x${owner.toString(16).padStart(40, '0')}`,
  }
}
