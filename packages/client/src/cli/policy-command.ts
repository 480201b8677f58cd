/** `countersign policy`: signs evidence policies, and shows what one is called. */
import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { signPolicy } from '@countersign/protocol/attestation/signed-policy'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { toLowS, type Es256Signer } from '@countersign/protocol/crypto/es256'
import { describeError, ProtocolError } from '@countersign/protocol/errors'
import {
  onlyPositional,
  parseCommandLine,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import {
  policyPinHelp,
  policyPinOptions,
  readEvidencePolicy,
  toPins,
} from './read-evidence-policy.ts'
import { readFileBounded, writeFileAs } from './read-file-bounded.ts'

/** The command. */
export const policyCommand: Command = {
  help: `usage: countersign policy sign FILE --key PEM --issuer NAME --days N --out FILE
       countersign policy show FILE [--policy-signer KEY]

Evidence policies say which hardware and code to take (spec/attestation.md AT8). Who publishes a build can sign one;
who verifies names the key with --policy-signer. Who signs a later one withdraws it from all who then say
--policy-issued-from (the issuedAt that sign prints). show prints one line of JSON: name, digest, platforms.

  --key PEM               private P-256 key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  --issuer NAME           who says it, 1 to 255 bytes
  --days N                how long it holds from now on, 1 to 3650
  --out FILE              where to write the signed policy
${policyPinHelp}

exit code: 0 done, 64 wrong usage or a policy that cannot be used, 66 a file cannot be read, 73 not written

examples:
  countersign policy sign policy.json --key key.pem --issuer https://builds.example --days 30 --out policy.cose
  countersign policy show policy.cose --policy-signer key.pub.pem
`,
  run,
}

const maxPolicyBytes = 65_536
const maxKeyBytes = 8192
const daySeconds = 86_400

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const [verb, ...rest] = args
  if (verb === 'sign') return runSign(rest, context)
  if (verb === 'show') return runShow(rest, context)
  throw new UsageError('policy takes sign FILE or show FILE')
}

async function runSign(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    key: { type: 'string' },
    issuer: { type: 'string' },
    days: { type: 'string' },
    out: { type: 'string' },
  })
  const file = onlyPositional(positionals, 'FILE')
  const { key, issuer = '', days = '', out } = values
  if (key === undefined || out === undefined) {
    throw new UsageError('policy sign takes --key, --issuer, --days and --out')
  }
  const issuerBytes = Buffer.byteLength(issuer)
  if (issuerBytes < 1 || issuerBytes > 255) throw new UsageError('--issuer takes 1 to 255 bytes')
  if (!/^[1-9][0-9]{0,3}$/.test(days) || Number(days) > 3650) {
    throw new UsageError('--days takes 1 to 3650')
  }
  const policy = await readFileBounded(file, maxPolicyBytes)
  // Whoever signs what no verifier takes would learn it from all of them.
  const { digest } = parse(policy)
  const signer = toSigner(await readFileBounded(key, maxKeyBytes))
  const issuedAtSeconds = Math.floor(context.nowMs() / 1000)
  const expiresAtSeconds = issuedAtSeconds + Number(days) * daySeconds
  const issuedAt = new Date(issuedAtSeconds * 1000).toISOString()
  const terms = { issuer, issuedAtSeconds, expiresAtSeconds }
  await writeFileAs(out, signPolicy(policy, terms, signer))
  context.terminal.out.write(
    `${JSON.stringify({ digest, signer: toHex(signer.publicKey), issuedAt, expiresAtSeconds })}\n`,
  )
  return exitCodes.ok
}

async function runShow(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    ...policyPinOptions,
  })
  const file = onlyPositional(positionals, 'FILE')
  const pins = toPins(values)
  const { name, digest, platforms } = parse(
    await readEvidencePolicy(file, 'FILE', pins, context.nowMs()),
  )
  const shown = { name, digest, platforms: [...platforms.keys()] }
  context.terminal.out.write(`${JSON.stringify(shown)}\n`)
  return exitCodes.ok
}

function parse(bytes: Uint8Array): ReturnType<typeof parseEvidencePolicy> {
  try {
    return parseEvidencePolicy(bytes)
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new UsageError(describeError(cause), { cause })
    throw cause
  }
}

function toSigner(pem: Uint8Array): Es256Signer {
  const key = toPrivateKey(pem)
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new UsageError('--key takes a private P-256 key in PEM')
  }
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const options = { key, dsaEncoding: 'ieee-p1363' } as const
  return {
    publicKey: Uint8Array.from(spki.subarray(-64)),
    sign: (message) => toLowS(Uint8Array.from(sign('sha256', message, options))),
  }
}

function toPrivateKey(pem: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey(Buffer.from(pem))
  } catch {
    return undefined
  }
}
