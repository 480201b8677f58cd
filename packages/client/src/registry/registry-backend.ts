/** Answers what clients ask of the registry, from gateways that are attested when they ask (spec/opengradient.md OG6). */
import { decodeFunctionData, encodeErrorResult, encodeFunctionResult, isHex, type Hex } from 'viem'
import { RpcRefusal } from '@countersign/contracts/rpc-refusal'
import { proxyType, registryAbi } from './registry-abi.ts'
import type { RegistryNode } from './attest-node.ts'

/** A gateway that may be listed. */
export type RegistrySource = {
  /** Rejects when it cannot be listed now. */
  readonly attest: () => Promise<RegistryNode>
  /** Told each time why it is not listed. */
  readonly onRefused: (error: unknown) => void
}

/** What `startRpcFront` asks. */
export type RegistryBackend = {
  send(raw: unknown): Promise<string>
  read(method: string, params: readonly unknown[]): Promise<unknown>
}

const unknownMethod = -32_601
const invalidParameters = -32_602
const reverted = 3
const nobody: Hex = `0x${'0'.repeat(40)}`

/**
 * A registry of these gateways. Each is attested again when its last attestation is older than `freshMs`, and is listed
 * only while it stands: what is refused, does not answer or has ended is not there.
 */
export function createRegistryBackend(
  sources: readonly RegistrySource[],
  { now, freshMs }: { readonly now: () => number; readonly freshMs: number },
): RegistryBackend {
  const lookups = sources.map((source) => createLookup(source, now, freshMs))
  const list = async (): Promise<readonly RegistryNode[]> => {
    const found = await Promise.all(lookups.map((look) => look()))
    return found.flatMap((node) => (node === undefined ? [] : [node]))
  }
  return {
    send: () => Promise.reject(new RpcRefusal(unknownMethod, 'nothing is sent here', undefined)),
    read: async (method, params) => {
      if (method !== 'eth_call') {
        throw new RpcRefusal(
          unknownMethod,
          'only eth_call: this is a registry, no chain',
          undefined,
        )
      }
      return answerCall(readCallData(params), await list())
    },
  }
}

type Lookup = () => Promise<RegistryNode | undefined>

function createLookup(
  { attest, onRefused }: RegistrySource,
  now: () => number,
  freshMs: number,
): Lookup {
  // Both are owned here: the last attestation that was good, and the one under way.
  let known: RegistryNode | undefined
  let underWay: Promise<RegistryNode | undefined> | undefined
  const refresh = async (): Promise<RegistryNode | undefined> => {
    try {
      known = await attest()
    } catch (error) {
      known = undefined
      onRefused(error)
    } finally {
      underWay = undefined
    }
    return known
  }
  return () => {
    const age = known === undefined ? Infinity : now() - known.attestedAtMs
    if (known !== undefined && age <= freshMs && known.notAfterMs >= now()) {
      return Promise.resolve(known)
    }
    return (underWay ??= refresh())
  }
}

/** Whatever contract is asked: there is only this one. */
function readCallData([call]: readonly unknown[]): Hex {
  if (typeof call !== 'object' || call === null) throw refusedParameters()
  const { data, input }: { readonly data?: unknown; readonly input?: unknown } = call
  const given = input ?? data
  if (!isHex(given)) throw refusedParameters()
  return given
}

function refusedParameters(): RpcRefusal {
  return new RpcRefusal(invalidParameters, 'expected a call with data', undefined)
}

function answerCall(data: Hex, nodes: readonly RegistryNode[]): Hex {
  const { functionName, args } = decodeCall(data)
  const [asked] = args
  if (typeof asked === 'number') {
    const ofType = asked === proxyType ? nodes : []
    if (functionName === 'getActiveTEEs') {
      return encodeFunctionResult({ abi: registryAbi, functionName, result: ofType.map(toEntry) })
    }
    const result = ofType.map(({ teeId }) => teeId)
    return encodeFunctionResult({ abi: registryAbi, functionName, result })
  }
  const node = nodes.find(({ teeId }) => teeId === asked)
  if (functionName === 'isTEEActive' || functionName === 'isTEEEnabled') {
    return encodeFunctionResult({ abi: registryAbi, functionName, result: node !== undefined })
  }
  if (functionName === 'getTEEPublicKey') {
    const result = node?.publicKey ?? '0x'
    return encodeFunctionResult({ abi: registryAbi, functionName, result })
  }
  if (node === undefined) throw notFound()
  return encodeFunctionResult({ abi: registryAbi, functionName: 'getTEE', result: toEntry(node) })
}

function decodeCall(data: Hex): ReturnType<typeof decodeFunctionData<typeof registryAbi>> {
  try {
    return decodeFunctionData({ abi: registryAbi, data })
  } catch (cause) {
    // As a contract answers that has no such function.
    throw new RpcRefusal(reverted, 'execution reverted', '0x', { cause })
  }
}

function notFound(): RpcRefusal {
  const data = encodeErrorResult({ abi: registryAbi, errorName: 'TEENotFound' })
  return new RpcRefusal(reverted, 'execution reverted', data)
}

/** OG6.3: what stands in each member. */
function toEntry(node: RegistryNode): {
  readonly owner: Hex
  readonly paymentAddress: Hex
  readonly endpoint: string
  readonly publicKey: Hex
  readonly tlsCertificate: Hex
  readonly pcrHash: Hex
  readonly teeType: number
  readonly enabled: boolean
  readonly registeredAt: bigint
  readonly lastHeartbeatAt: bigint
} {
  return {
    owner: nobody,
    paymentAddress: node.payee,
    endpoint: node.endpoint,
    publicKey: node.publicKey,
    tlsCertificate: node.tlsCertificate,
    pcrHash: node.buildDigest,
    teeType: proxyType,
    enabled: true,
    registeredAt: toSeconds(node.notBeforeMs),
    lastHeartbeatAt: toSeconds(node.attestedAtMs),
  }
}

function toSeconds(timeMs: number): bigint {
  return BigInt(Math.floor(timeMs / 1000))
}
