/** The worker of usage-estimator.ts: counts the tokens of one job after the other. Throws nothing it was sent. */
import { parentPort } from 'node:worker_threads'
import { createTokenCounter } from './count-tokens.ts'
import type { EstimateAnswer, EstimateJob } from './estimate-job.ts'
import { readRequestTexts } from './request-text.ts'
import { readBodyTexts, readStreamTexts } from './written-text.ts'

const tokens = createTokenCounter()

parentPort?.on('message', ({ id, request, answer, isStream }: EstimateJob) => {
  const read = readRequestTexts(request)
  const found: EstimateAnswer = {
    id,
    input: {
      tokens: tokens.count(read?.texts ?? []),
      messages: read?.messages ?? 0,
      // A form holds one attachment.
      attachments: read?.attachments ?? 1,
    },
    outputTokens: tokens.count(isStream ? readStreamTexts(answer) : readBodyTexts(answer)),
  }
  parentPort?.postMessage(found, [])
})
