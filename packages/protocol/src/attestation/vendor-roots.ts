/** Root certificates of the vendors: SHA-256 of their DER (spec/attestation.md AT5). */
import type { Platform } from './appraisal.ts'

const aws = '641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b'
const amd = [
  // ARK-Milan, ARK-Genoa, ARK-Turin.
  '69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd',
  '4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1',
  '1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a',
]
const intel = '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3'

/** The roots that vouch for real hardware, by kind of evidence. Tokens have no root certificate. */
export const vendorRoots: ReadonlyMap<Platform, readonly string[]> = new Map<
  Platform,
  readonly string[]
>([
  ['amd-sev-snp', amd],
  ['amd-sev-snp-azure', amd],
  ['intel-tdx', [intel]],
  ['intel-tdx-azure', [intel]],
  ['intel-sgx', [intel]],
  ['aws-nitro', [aws]],
  ['aws-nitrotpm', [aws]],
  ['tpm', ['594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2']],
  ['nvidia-gpu', ['102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48']],
])
