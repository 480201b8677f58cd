#!/usr/bin/env node
/** The program `countersign`. */
import process from 'node:process'
import { exitCodes } from './exit-codes.ts'
import { runCli } from './run-cli.ts'
import { createTerminal } from './terminal.ts'

const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second time the person means it.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
    interruption.abort()
  })
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // A reader such as `head` that had enough is no failure of ours.
    process.exit(error.code === 'EPIPE' ? process.exitCode : exitCodes.internal)
  })
}
process.exitCode = await runCli(process.argv.slice(2), {
  terminal: createTerminal(process, process.env),
  environment: process.env,
  nowMs: Date.now,
  interrupted: interruption.signal,
})
