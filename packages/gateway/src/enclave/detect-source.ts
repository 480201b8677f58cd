/** Which sources of evidence this machine has, by the places where each of them is. */
import { existsSync } from 'node:fs'
import { AttestationError } from './attestation-error.ts'
import { confidentialSpaceSocket } from './confidential-space-source.ts'
import { dstackSockets } from './dstack-source.ts'

/** Sources that need no more than their place. A TPM needs an enrolment, so it is chosen and never detected. */
export type DetectedSource =
  | { readonly kind: 'tsm'; readonly folder: string }
  | { readonly kind: 'dstack'; readonly socketPath: string }
  | { readonly kind: 'confidential-space'; readonly socketPath: string }

/** Where configfs-tsm is. */
export const tsmFolder = '/sys/kernel/config/tsm/report'

/**
 * The one source of this machine.
 *
 * @param isThere - whether a path exists.
 * @throws AttestationError `no-attester`, `several-attesters`: which one counts is then the operator's to say, because
 *   they stand for different things.
 */
export function detectSource(isThere: (path: string) => boolean = existsSync): DetectedSource {
  const socketPath = dstackSockets.find(isThere)
  const found: readonly DetectedSource[] = [
    ...(isThere(tsmFolder) ? [{ kind: 'tsm', folder: tsmFolder } as const] : []),
    ...(socketPath === undefined ? [] : [{ kind: 'dstack', socketPath } as const]),
    ...(isThere(confidentialSpaceSocket)
      ? [{ kind: 'confidential-space', socketPath: confidentialSpaceSocket } as const]
      : []),
  ]
  const [only, ...others] = found
  if (only === undefined) throw new AttestationError('no-attester', 'attestation.kind is auto')
  if (others.length > 0) {
    throw new AttestationError('several-attesters', found.map(({ kind }) => kind).join(', '))
  }
  return only
}

/** The first socket of dstack that is there. */
export function findDstackSocket(isThere: (path: string) => boolean = existsSync): string {
  const found = dstackSockets.find(isThere)
  if (found === undefined) throw new AttestationError('no-attester', 'no socket of dstack')
  return found
}
