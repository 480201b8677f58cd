/** `countersign wallet`: a key in an encrypted file, and what it holds. */
import process from 'node:process'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { x402On } from '@countersign/contracts/addresses'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import type { PrivateKeyAccount } from 'viem/accounts'
import { createChainReader, type ChainReader } from '../chain/chain-reader.ts'
import { encodeCall, readWord } from '../chain/contract-call.ts'
import { sendTransaction } from '../chain/send-transaction.ts'
import { ClientError } from '../errors.ts'
import { createSecretFile, readSecretFile } from '../files/secret-file.ts'
import { baseSepoliaUsdc, baseUsdc, type AllowedAsset } from '../pay/spending-limits.ts'
import {
  decryptKeystore,
  encryptKeystore,
  maxKeystoreBytes,
  readKeystoreAddress,
} from '../wallet/keystore.ts'
import { passwordVariable, readPassword } from '../wallet/read-password.ts'
import {
  parseAtomic,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { readFileBounded } from './read-file-bounded.ts'

const keyVariable = 'COUNTERSIGN_PRIVATE_KEY'

/** The command. */
export const walletCommand: Command = {
  help: `usage: countersign wallet create --keystore FILE [--password-file FILE]
       countersign wallet import --keystore FILE [--key-file FILE] [--password-file FILE]
       countersign wallet address --keystore FILE [--verify] [--password-file FILE]
       countersign wallet balance --keystore FILE --rpc URL
       countersign wallet approve --keystore FILE --rpc URL --amount ATOMIC [--password-file FILE]

A key that pays, in an encrypted file (Web3 Secret Storage, version 3; geth and others read it). The file is written with
mode 600 and never over another one. The password comes from --password-file, from ${passwordVariable}, or is
asked for on a terminal. Keys and passwords are never taken from the command line, where every process could see them.

  --keystore FILE       the encrypted file
  --key-file FILE       import: holds the private key, 64 hex digits; without it ${keyVariable} does
  --password-file FILE  holds the password; a line end after it does not count
  --verify              address: ask for the password, and prove that the file holds the key of this address
  --amount ATOMIC       approve: what Permit2 may move of the wallet's USDC in all; upto payments need it once. 0 ends it
  --rpc URL             balance, approve: a node of Base Sepolia (or the embedded chain) or of Base

exit code: 0 done, 64 wrong usage, 66 a file cannot be read, 69 no password, another one, or no chain,
73 a file cannot be written

examples:
  countersign wallet create --keystore wallet.json
  countersign wallet balance --keystore wallet.json --rpc http://127.0.0.1:8545
`,
  run,
}

const options = {
  keystore: { type: 'string' },
  'key-file': { type: 'string' },
  'password-file': { type: 'string' },
  verify: { type: 'boolean', default: false },
  rpc: { type: 'string' },
  amount: { type: 'string' },
} as const

const optionsOf: ReadonlyMap<string, readonly string[]> = new Map([
  ['create', ['keystore', 'password-file']],
  ['import', ['keystore', 'key-file', 'password-file']],
  ['address', ['keystore', 'verify', 'password-file']],
  ['balance', ['keystore', 'rpc']],
  ['approve', ['keystore', 'rpc', 'amount', 'password-file']],
])

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals, tokens } = parseCommandLine(args, options)
  const [action = '', ...more] = positionals
  const allowed = optionsOf.get(action)
  if (allowed === undefined || more.length > 0) {
    throw new UsageError('wallet takes one of: create, import, address, balance, approve')
  }
  for (const token of tokens) {
    if (token.kind === 'option' && !allowed.includes(token.name)) {
      throw new UsageError(`wallet ${action} takes no --${token.name}`)
    }
  }
  const { keystore } = values
  if (keystore === undefined) throw new UsageError('--keystore is missing')
  const { out } = context.terminal
  if (action === 'create' || action === 'import') {
    const key =
      action === 'create' ? createKey() : await readKey(values['key-file'], context.environment)
    const password = await askTwice(values['password-file'], context)
    await createSecretFile(keystore, await encryptKeystore(key, password))
    out.write(`${await statedAddress(keystore)}\n`)
    return exitCodes.ok
  }
  const address = await statedAddress(keystore)
  if (action === 'balance') return showBalance(address, values.rpc, context)
  if (action === 'approve') return approve(keystore, values, context)
  if (values.verify) await openKeystore(keystore, values['password-file'], context)
  out.write(`${address}\n`)
  return exitCodes.ok
}

/**
 * The account of a keystore file, for commands that pay.
 *
 * @throws ClientError `keystore-…`, `file-unreadable`, `state-malformed`.
 */
export async function openKeystore(
  path: string,
  passwordFile: string | undefined,
  context: CommandContext,
): Promise<PrivateKeyAccount> {
  const file = await readKeystore(path)
  return decryptKeystore(file, await askPassword(passwordFile, context, 'password: '))
}

async function readKeystore(path: string): Promise<Uint8Array> {
  const file = await readSecretFile(path, maxKeystoreBytes)
  if (file === undefined)
    throw new ClientError('file-unreadable', { detail: `${path} is not there` })
  return file
}

async function statedAddress(path: string): Promise<string> {
  const address = readKeystoreAddress(await readKeystore(path))
  if (address === undefined) throw new ClientError('keystore-malformed', { detail: 'no address' })
  return address
}

function askPassword(
  file: string | undefined,
  { environment, terminal }: CommandContext,
  question: string,
): Promise<Uint8Array> {
  const prompt = { input: process.stdin, write: (text: string) => terminal.err.write(text) }
  return readPassword(file, environment, prompt, question)
}

/** A new password that is typed is typed twice: nobody saw it. */
async function askTwice(file: string | undefined, context: CommandContext): Promise<Uint8Array> {
  const password = await askPassword(file, context, 'new password: ')
  if (file !== undefined || context.environment[passwordVariable] !== undefined) return password
  const again = await askPassword(file, context, 'again: ')
  if (Buffer.compare(password, again) !== 0) {
    throw new ClientError('keystore-password', { detail: 'the two are not equal' })
  }
  return password
}

async function readKey(
  path: string | undefined,
  environment: CommandContext['environment'],
): Promise<Uint8Array> {
  const text =
    path === undefined
      ? environment[keyVariable]
      : Buffer.from(await readFileBounded(path, 256)).toString('latin1')
  if (text === undefined) throw new UsageError(`no --key-file, and ${keyVariable} is not set`)
  const form = /^(?:0x)?([0-9a-fA-F]{64})\s*$/.exec(text)?.[1]
  const key = form === undefined ? undefined : fromHex(form.toLowerCase())
  if (key === undefined) throw new UsageError('the private key is not 64 hex digits')
  return key
}

function createKey(): Uint8Array {
  // Below the order of secp256k1 but for a chance of 2^-128, and then encryption refuses it.
  return crypto.getRandomValues(new Uint8Array(32))
}

async function showBalance(
  text: string,
  rpc: string | undefined,
  { terminal }: CommandContext,
): Promise<ExitCode> {
  const { reader, asset, token } = await openChain(rpc)
  const owner = parseAddress(text)
  if (owner === undefined) throw new ClientError('keystore-malformed', { detail: 'no address' })
  const balance = await readWord(reader, token, 'balanceOf(address)', [owner])
  terminal.out.write(`${balance} atomic units of ${asset.name} on ${asset.network}\n`)
  return exitCodes.ok
}

/** The one transaction that `upto` needs of a payer. It takes gas. */
async function approve(
  keystore: string,
  values: {
    readonly rpc?: string | undefined
    readonly amount?: string | undefined
    readonly 'password-file'?: string | undefined
  },
  context: CommandContext,
): Promise<ExitCode> {
  const { rpc, amount } = values
  if (amount === undefined) throw new UsageError('--amount is missing')
  const amountAtomic = parseAtomic('--amount', amount)
  const { asset, token, chainId, rpcUrl } = await openChain(rpc)
  const permit2 = parseAddress(x402On(chainId)?.permit2)
  if (permit2 === undefined) throw new ClientError('chain-mismatch', { detail: `${chainId}` })
  const account = await openKeystore(keystore, values['password-file'], context)
  const data = encodeCall('approve(address,uint256)', [permit2, amountAtomic])
  const hash = await sendTransaction(account, rpcUrl, chainId, { to: token, data })
  context.terminal.out.write(`Permit2 may move ${amountAtomic} of ${asset.name}: ${hash}\n`)
  return exitCodes.ok
}

async function openChain(rpc: string | undefined): Promise<{
  readonly rpcUrl: string
  readonly reader: ChainReader
  readonly chainId: number
  readonly asset: AllowedAsset
  readonly token: Hex
}> {
  if (rpc === undefined || !URL.canParse(rpc)) throw new UsageError('--rpc takes a URL')
  const reader = createChainReader(rpc)
  const chainId = Number(await reader.chainId())
  const asset = [baseSepoliaUsdc, baseUsdc].find(({ network }) => network === `eip155:${chainId}`)
  const token = parseAddress(asset?.address)
  if (asset === undefined || token === undefined) {
    throw new ClientError('chain-mismatch', { detail: `no token is known on chain ${chainId}` })
  }
  return { rpcUrl: rpc, reader, chainId, asset, token }
}
