/** Every key of a keyset is shown to be held, and TLS follows the epochs. */
import { createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { onTestFinished, expect, test } from 'vitest'
import { recoverMessageAddress, toHex } from 'viem'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import {
  verifyAttestation,
  type AttestationQuestion,
  type AttestationVerdict,
} from '@countersign/protocol/verify/verify-attestation'
import { createSimulatedAttester } from '../src/enclave/simulated-attester.ts'
import { createAttestedServer } from '../src/http/attested-server.ts'
import { createEpochs, epochLifetimeMs, type Epoch, type Epochs } from '../src/keys/epochs.ts'
import type { KeyPlan } from '../src/keys/keyset-turn.ts'
import { createTlsKeys, type TlsKeys } from '../src/keys/tls-keys.ts'
import { createSettlementAccount } from '../src/payment/exact/sender.ts'

const startMs = 1_795_000_000_000
const buildDigest = sha256(Buffer.from('build'))
const account = createSettlementAccount(`0x${'11'.repeat(32)}`)
const fullPlan: KeyPlan = {
  tlsNames: ['127.0.0.1', 'gateway.example'],
  sealed: true,
  settlement: {
    named: () => ({ address: account.address, others: ['0x01'] }),
    confirm: async (_, message) =>
      Buffer.from((await account.signMessage({ message: { raw: message } })).slice(2), 'hex'),
  },
}

async function open(
  plan: KeyPlan,
  onEpoch: (epoch: Epoch) => void = () => undefined,
): Promise<Epochs> {
  const terms = {
    issuer: 'https://gateway.example',
    configDigest: sha256(Buffer.from('config')),
    buildDigest,
    payees: [],
    upstreams: ['api.example'],
    termsDigest: sha256(Buffer.from('terms')),
  }
  return await createEpochs(terms, createSimulatedAttester(buildDigest), {
    nowMs: startMs,
    random: randomBytes,
    previousKeysetDigest: undefined,
    plan,
    onEpoch,
    onError: (error) => {
      throw error
    },
  })
}

const prefix = Buffer.from('302a300506032b656e032100', 'hex')

function createQuestion(): AttestationQuestion & { readonly share: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  const share = Uint8Array.from(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32))
  const agree = async (key: Uint8Array): Promise<Uint8Array> => {
    const der = Buffer.concat([prefix, key])
    const peer = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return diffieHellman({ privateKey, publicKey: peer })
  }
  return {
    nonce: Uint8Array.from(randomBytes(32)),
    share,
    exchange: { share, agree },
    signedByAddress: async (address, message, signature) =>
      (await recoverMessageAddress({ message: { raw: message }, signature: toHex(signature) })) ===
      address,
  }
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : toBase64url(bytes)
}

async function judge(
  epochs: Epochs,
  nowMs: number,
  question = createQuestion(),
  asked = question,
): Promise<AttestationVerdict> {
  const attested = await epochs.attest(asked.nonce, nowMs, asked.share)
  if (attested === undefined) throw new Error('no attestation')
  const { epoch, evidence, confirmations } = attested
  const { tls } = confirmations
  const answer = {
    keyset: text(epoch.keysetStatement),
    evidence: { kind: evidence.kind, nonce: text(evidence.nonce), data: text(evidence.data) },
    confirmations: {
      receipt: text(confirmations.receipt),
      settlement: text(confirmations.settlement),
      tls: tls && { key: text(tls.key), signature: text(tls.signature) },
      hpke: text(confirmations.hpke),
    },
  }
  const bytes = Buffer.from(JSON.stringify(answer))
  return await verifyAttestation(bytes, defaultPolicy, nowMs, question)
}

test('every key is confirmed for the nonce and the share of the caller', async () => {
  const epochs = await open(fullPlan)
  const { verdict, checks, keyset } = await judge(epochs, startMs)
  expect(verdict).toBe('valid')
  const passed = checks.filter(({ status }) => status === 'passed').map(({ id }) => id)
  expect(passed).toEqual(
    expect.arrayContaining([
      'confirm-receipt',
      'confirm-settlement',
      'confirm-tls',
      'confirm-hpke',
    ]),
  )
  expect(keyset).toMatchObject({
    upstreams: ['api.example'],
    settlementAddress: account.address,
    otherChargeKeys: ['0x01'],
    termsDigest: sha256(Buffer.from('terms')),
  })
})

test('what was confirmed for somebody else confirms nothing', async () => {
  const epochs = await open(fullPlan)
  const { checks } = await judge(epochs, startMs, createQuestion(), createQuestion())
  const failed = checks.filter(({ status }) => status === 'failed').map(({ id }) => id)
  expect(failed).toEqual([
    'nonce',
    'confirm-receipt',
    'confirm-settlement',
    'confirm-tls',
    'confirm-hpke',
  ])
})

test('a share of low order is refused: its secret is everybody’s', async () => {
  const epochs = await open(fullPlan)
  for (const share of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) {
    expect(await epochs.attest(randomBytes(32), startMs, share)).toBeUndefined()
  }
})

test('keys that were not planned are neither listed nor confirmed', async () => {
  const plan = { tlsNames: undefined, sealed: false, settlement: undefined }
  const epochs = await open(plan)
  const attested = await epochs.attest(randomBytes(32), startMs, randomBytes(32))
  expect(Object.keys(attested?.confirmations ?? {})).toEqual(['receipt'])
})

test('each epoch has a TLS key of its own; open connections outlive the change', async () => {
  const keys = createTlsKeys()
  const epochs = await open(fullPlan, ({ tls }) => {
    if (tls !== undefined) keys.replace(tls)
  })
  const port = await serve(keys)
  const first = await connectTo(port)
  const begun = await judge(epochs, startMs)
  expect(begun.verdict).toBe('valid')
  expect(first.spki).toEqual(begun.keyset?.tlsSpki)
  expect(first.names).toBe('IP Address:127.0.0.1, DNS:gateway.example')
  const { keyset } = await judge(epochs, startMs + epochLifetimeMs + 1)
  const second = await connectTo(port)
  expect(second.spki).toEqual(keyset?.tlsSpki)
  expect(second.spki).not.toEqual(first.spki)
  const answer = await new Promise<string>((resolve, reject) => {
    get({ createConnection: () => first.socket, path: '/' }, (response) => {
      response.setEncoding('utf8').once('data', resolve)
    }).once('error', reject)
  })
  expect(answer).toBe('still here')
})

async function serve(keys: TlsKeys): Promise<number> {
  const server = createAttestedServer(keys, (_, response) => {
    response.end('still here')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

type Connected = {
  readonly socket: TLSSocket
  readonly spki: Uint8Array
  readonly names: string | undefined
}

/** The certificate is read once: later Node has it no more. */
async function connectTo(port: number): Promise<Connected> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  onTestFinished(() => {
    socket.destroy()
  })
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) throw new Error('no certificate')
  const spki = sha256(certificate.publicKey.export({ type: 'spki', format: 'der' }))
  return { socket, spki, names: certificate.subjectAltName }
}
