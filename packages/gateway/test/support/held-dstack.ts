/** An emulated guest agent of dstack, whose evidence for the next keyset waits until the test says so. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { forgeDcap } from '../../../../test/vectors/attestation/dcap-evidence.ts'
import { serveText, type TextAnswer, type TextRequest } from './serve-text.ts'

/** An agent that runs. */
export interface HeldDstack {
  readonly attestation: Readonly<Record<string, unknown>>
  /** From now on evidence for keysets waits: `arrived` resolves at each next one, in order, with its release. */
  hold(): { readonly arrived: () => Promise<() => void>; readonly end: () => void }
  stop(): Promise<void>
}

/** What `/v1/attestation` is asked with by these tests: its evidence never waits. */
export const plainNonce = '00'.repeat(32)

/** Starts an agent for a gateway in this folder. */
export async function startHeldDstack(folder: string): Promise<HeldDstack> {
  const socketPath = join(folder, 'dstack.sock')
  // Owned here: who waits, and who waits for them.
  let isHolding = false
  let waiting: (() => void)[] = []
  let watchers: ((release: () => void) => void)[] = []

  async function answer({ body }: TextRequest): Promise<TextAnswer> {
    const { report_data: asked = '' }: { report_data?: string } = JSON.parse(body)
    if (isHolding && !isForCaller(folder, asked)) {
      await new Promise<void>((release) => {
        const watcher = watchers.shift()
        if (watcher === undefined) waiting.push(release)
        else watcher(release)
      })
    }
    const { raw } = forgeDcap('tdx', {
      body: (bytes) => {
        bytes.set(Buffer.from(asked, 'hex'), 520)
      },
    })
    const quote = Buffer.from(raw).toString('hex')
    const text = JSON.stringify({ quote, event_log: '[]', report_data: asked, vm_config: '{}' })
    return { status: 200, headers: {}, body: text }
  }

  const service = await serveText(answer, socketPath)
  const end = (): void => {
    isHolding = false
    for (const release of waiting) release()
    waiting = []
  }
  return {
    attestation: { kind: 'dstack', socketPath },
    hold: () => {
      isHolding = true
      return {
        arrived: async () => {
          const first = waiting.shift()
          return first ?? (await new Promise((resolve) => watchers.push(resolve)))
        },
        end,
      }
    },
    stop: async () => {
      watchers = []
      end()
      await service.stop()
    },
  }
}

/** Evidence for a keyset that is stored, with the nonce of these tests: somebody attests. */
function isForCaller(folder: string, reportData: string): boolean {
  const database = new DatabaseSync(join(folder, 'data', 'receipts.db'), {
    readOnly: true,
    // The gateway writes to it all the while.
    timeout: 5000,
  })
  try {
    const rows = database.prepare('SELECT digest FROM keyset').all()
    return rows.some(({ digest }) => {
      if (!(digest instanceof Uint8Array)) return false
      const hash = createHash('sha512').update('countersign/keyset/v1').update(digest)
      return hash.update(Buffer.from(plainNonce, 'hex')).digest('hex') === reportData
    })
  } finally {
    database.close()
  }
}
