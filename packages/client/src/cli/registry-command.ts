/** `countersign registry`: a registry of attested gateways, as clients of OpenGradient read theirs from a chain. */
import { startRpcFront } from '@countersign/contracts/rpc-front'
import { attestNode, type NodeSettings } from '../registry/attest-node.ts'
import { createRegistryBackend, type RegistrySource } from '../registry/registry-backend.ts'
import {
  parseCommandLine,
  parsePort,
  UsageError,
  type Command,
  type CommandContext,
} from './command.ts'
import { exitCodes, type ExitCode } from './exit-codes.ts'
import { toPrintable } from './printable.ts'
import { policyPinHelp, policyPinOptions, toPins } from './read-evidence-policy.ts'
import { readEvidenceVerifier, readPolicy } from './verify-command.ts'

/** The command. */
export const registryCommand: Command = {
  help: `usage: countersign registry ORIGIN... [options]

Answers on loopback, until Ctrl-C, what clients of OpenGradient ask of their registry on chain: the gateways given, each
only while its attestation is valid. Their TypeScript SDK takes the URL as rpcUrl, and then pins the attested
certificate. The gateways end TLS themselves (listen.tls) and have profiles.openGradient.

  --port N            default 8403; 0 takes a free one
  --policy NAME|FILE  default (accepts SIMULATED evidence), production (does not; the one that holds beside
                      --evidence-policy where none is named), or a policy file
  --evidence-policy FILE  what to ask of evidence of hardware (spec/attestation.md AT8); without one it proves nothing
${policyPinHelp}
  --fresh SECONDS     attest again what was attested longer ago, default 60

exit code: 0 stopped, 64 wrong usage, 66 a file cannot be read

examples:
  countersign registry https://gateway.example:8443
  countersign registry https://one.example https://two.example --policy production --evidence-policy policy.json
`,
  run,
}

const timeoutMs = 20_000

async function run(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    port: { type: 'string', default: '8403' },
    policy: { type: 'string' },
    'evidence-policy': { type: 'string' },
    ...policyPinOptions,
    fresh: { type: 'string', default: '60' },
  })
  if (positionals.length === 0) throw new UsageError('ORIGIN is missing')
  const origins = positionals.map(parseOrigin)
  const port = parsePort(values.port)
  const freshMs = parseSeconds(values.fresh) * 1000
  const pins = toPins(values)
  const { nowMs, terminal, interrupted } = context
  const judgeEvidence = await readEvidenceVerifier(values['evidence-policy'], pins, nowMs())
  const settings: NodeSettings = {
    policy: await readPolicy(values.policy, values['evidence-policy']),
    ...(judgeEvidence === undefined ? {} : { judgeEvidence }),
    now: nowMs,
    timeoutMs,
  }
  const sources = origins.map((origin): RegistrySource => ({
    attest: () => attestNode(origin, settings),
    onRefused: (error) => {
      const reason = error instanceof Error ? error.message : String(error)
      terminal.err.write(`${origin} is not listed: ${toPrintable(reason)}\n`)
    },
  }))
  const front = await startRpcFront(createRegistryBackend(sources, { now: nowMs, freshMs }), port)
  terminal.out.write(`registry of ${origins.length} on http://127.0.0.1:${front.port}\n`)
  await new Promise<void>((resolve) => {
    interrupted.addEventListener('abort', () => resolve())
    if (interrupted.aborted) resolve()
  })
  await front.close()
  return exitCodes.ok
}

function parseOrigin(text: string): string {
  const url = URL.parse(text)
  if (url === null || url.protocol !== 'https:' || url.origin !== text.replace(/\/$/, '')) {
    throw new UsageError(`${text} is no https origin`)
  }
  return url.origin
}

function parseSeconds(text: string): number {
  if (!/^[1-9][0-9]{0,4}$/.test(text)) throw new UsageError('--fresh takes 1 to 99999 seconds')
  return Number(text)
}
