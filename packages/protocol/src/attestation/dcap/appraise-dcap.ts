/**
 * Intel SGX and TDX by DCAP (spec/attestation.md AT7). Collateral: `tcb-info`, `qe-identity` (the JSON as signed), for
 * each `…-signature` (64 bytes) and `…-chain` (PEM, signer first), `root-crl` and `pck-crl` (DER).
 */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { sha256 } from '../../crypto/sha256.ts'
import {
  createEvidenceRun,
  needResult,
  type AppraisalOptions,
  type EvidenceAppraisal,
  type PlatformEvidence,
  type Tcb,
} from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { checkEcdsa } from '../x509/algorithm.ts'
import type { Certificate } from '../x509/certificate.ts'
import { checkIssuance, checkRoot, checkSigner } from '../x509/chain.ts'
import { checkRevocation } from '../x509/revocation-list.ts'
import { checkAllDates, openStatement, parseChain, type SignedStatement } from './collateral.ts'
import { readPckClaims, type PckClaims } from './pck.ts'
import { parseQuote, type Quote } from './quote.ts'
import {
  checkConfiguration,
  checkDebug,
  readClaims,
  readEnclaveReport,
  readModuleReport,
} from './report-body.ts'
import { parseQeIdentity, parseTcbInfo, type QeIdentity, type TcbInfo } from './statement.ts'
import { findModuleLevel, findPlatformLevel, findQeLevel, mergeLevels } from './tcb-status.ts'

type PckChain = readonly [root: Certificate, authority: Certificate, processor: Certificate]

type Endorsed = {
  readonly pckChain: PckChain
  readonly pck: PckClaims
  readonly tcbInfo: SignedStatement<TcbInfo>
  readonly qeIdentity: SignedStatement<QeIdentity>
}

/** Judges a quote of an SGX enclave. It never throws for bad evidence. */
export async function appraiseSgx(
  evidence: PlatformEvidence,
  options: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  return await appraise('sgx', evidence, options)
}

/** Judges a quote of a TDX domain. It never throws for bad evidence. */
export async function appraiseTdx(
  evidence: PlatformEvidence,
  options: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  return await appraise('tdx', evidence, options)
}

async function appraise(
  kind: 'sgx' | 'tdx',
  evidence: PlatformEvidence,
  { asOfMs, roots }: AppraisalOptions,
): Promise<EvidenceAppraisal> {
  const platform = kind === 'sgx' ? 'intel-sgx' : 'intel-tdx'
  const run = createEvidenceRun()
  const quote = await run.check('format', () => parse(evidence.raw, kind))
  const pckChain = await run.check('root', () => {
    const chain = openPckChain(needResult(quote))
    checkRoot(chain, roots)
    return chain
  })
  const endorsed = await run.check('chain', async () => {
    const chain = needResult(pckChain)
    await checkIssuance(chain)
    checkSigner(chain[2])
    const pck = readPckClaims(chain[2])
    // Statements under the root of this processor alone: another pinned root may be one of tests.
    const own = new Set([chain[0].digest])
    const tcbInfo = await openStatement(evidence, 'tcb-info', parseTcbInfo, own)
    const qeIdentity = await openStatement(evidence, 'qe-identity', parseQeIdentity, own)
    checkKinds(kind, tcbInfo.content, qeIdentity.content)
    return { pckChain: chain, pck, tcbInfo, qeIdentity }
  })
  await run.check('validity', () => {
    const { pckChain: chain, tcbInfo, qeIdentity } = needResult(endorsed)
    checkAllDates(chain, [tcbInfo, qeIdentity], asOfMs)
  })
  await run.check('revocation', async () => {
    const { pckChain: chain, tcbInfo, qeIdentity } = needResult(endorsed)
    const [root, authority, processor] = chain
    const signers = [tcbInfo, qeIdentity].flatMap((statement) => statement.chain.slice(1))
    await checkRevocation(evidence, 'root-crl', root, [authority, ...signers], asOfMs)
    await checkRevocation(evidence, 'pck-crl', authority, [processor], asOfMs)
  })
  await run.check('signature', () => checkSignatures(needResult(quote), needResult(pckChain)))
  await run.check('debug', () => {
    checkDebug(needResult(quote).body)
  })
  await run.check('configuration', () => {
    checkConfiguration(needResult(quote).body)
  })
  // Known, the state is for the policy to judge; unknown, the check ends here.
  const determination = createEvidenceRun()
  const tcb = await determination.check('tcb', () =>
    determineTcb(needResult(quote), needResult(endorsed)),
  )
  const checks = tcb === undefined ? [...run.checks, ...determination.checks] : run.checks
  if (quote === undefined) return { platform, checks }
  const { reportData, measurements, settings } = readClaims(quote.value.body)
  const claims = {
    root: pckChain?.value[0].digest ?? '',
    binding: { form: 'whole', values: [reportData] },
    measurements,
    tcb: tcb?.value ?? { kind: 'unknown' },
    ...(endorsed === undefined ? {} : { machine: endorsed.value.pck.ppid }),
    settings,
  } as const
  return { platform, checks, claims }
}

function parse(raw: Uint8Array, kind: 'sgx' | 'tdx'): Quote {
  const quote = parseQuote(raw)
  refuseUnless(quote.body.kind === kind, 'quote-platform-mismatch')
  return quote
}

function openPckChain({ pckChain }: Quote): PckChain {
  const [root, authority, processor, ...more] = parseChain(pckChain)
  const isWhole = root !== undefined && authority !== undefined && processor !== undefined
  refuseUnless(isWhole && more.length === 0, 'chain-length')
  return [root, authority, processor]
}

function checkKinds(kind: 'sgx' | 'tdx', tcbInfo: TcbInfo, qeIdentity: QeIdentity): void {
  const [tcbId, qeId] = kind === 'sgx' ? ['SGX', 'QE'] : ['TDX', 'TD_QE']
  refuseUnless(tcbInfo.id === tcbId, 'collateral-malformed', 'tcb-info')
  refuseUnless(qeIdentity.id === qeId, 'collateral-malformed', 'qe-identity')
}

/** The processor's key signs the quoting enclave's report, which vouches for the key that signs the quote. */
async function checkSignatures(quote: Quote, [, , processor]: PckChain): Promise<void> {
  const { attestationKey, qeAuthData, qeReport, qeSignature, signature, signed } = quote
  await checkEcdsa(processor.publicKey, 256, qeSignature, qeReport, undefined, 'qe-report')
  const { reportData } = readEnclaveReport(qeReport)
  const digest = sha256(concatBytes(attestationKey, qeAuthData))
  const isVouchedFor = equalBytes(reportData, concatBytes(digest, new Uint8Array(32)))
  refuseUnless(isVouchedFor, 'quote-key-mismatch')
  const key = { kind: 'P-256', bytes: Uint8Array.of(4, ...attestationKey) } as const
  await checkEcdsa(key, 256, signature, signed, undefined, 'quote')
}

/** The state of the firmware by what the vendor says of quoting enclave, module and platform. */
function determineTcb(
  { body, qeReport }: Quote,
  { pck, tcbInfo: { content: info }, qeIdentity: { content: identity } }: Endorsed,
): Tcb {
  const module = body.kind === 'tdx' ? readModuleReport(body) : undefined
  const levels = [
    findQeLevel(readEnclaveReport(qeReport), identity),
    module === undefined ? undefined : findModuleLevel(module, info),
    findPlatformLevel(pck, info, module),
  ].filter((level) => level !== undefined)
  const evaluationNumber = Math.min(info.evaluationNumber, identity.evaluationNumber)
  return { kind: 'status', ...mergeLevels(levels), evaluationNumber }
}
