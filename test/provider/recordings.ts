/** Where the recorded answers of real providers lie; they are not part of the repository. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder, whether it is there or not. */
export const recordingsDir: string = fileURLToPath(
  new URL('../../../shared/fixtures/provider-recordings', import.meta.url),
)

/** Whether the recordings are there. */
export const hasRecordings: boolean = existsSync(recordingsDir)

/** Ends the name of a test that is skipped without them: the runner takes no skip without a reason. */
export const absence: string = hasRecordings
  ? ''
  : ' (skipped: ../shared/fixtures/provider-recordings is absent)'
