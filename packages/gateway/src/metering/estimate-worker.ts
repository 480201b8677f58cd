/** The worker of usage-estimator.ts: counts the texts of one job after the other. Throws nothing it was sent. */
import { parentPort } from 'node:worker_threads'
import type { EstimateAnswer, EstimateJob } from './estimate-job.ts'
import { countBodyText, countRequestText, countStreamText } from './visible-text.ts'

parentPort?.on('message', (job: EstimateJob) => {
  const request = countRequestText(job.request)
  const outputBytes = job.isStream ? countStreamText(job.answer) : countBodyText(job.answer)
  const answer: EstimateAnswer = {
    id: job.id,
    inputBytes: request?.textBytes ?? job.request.length,
    attachments: request?.attachments ?? 1,
    outputBytes,
  }
  parentPort?.postMessage(answer, [])
})
