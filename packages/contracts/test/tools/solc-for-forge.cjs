#!/usr/bin/env node
// forge talks to a native solc; npm has the wasm one. Only the two calls that forge makes are answered.
'use strict'
const { readFileSync, writeSync } = require('node:fs')
const solc = require('solc')

const asked = process.argv.slice(2)
if (asked.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`)
} else if (asked.includes('--standard-json')) {
  const output = Buffer.from(solc.compile(readFileSync(0, 'utf8')))
  for (let sent = 0; sent < output.length;) sent += writeSync(1, output, sent)
} else {
  console.error(`not supported: ${asked.join(' ')}`)
  process.exitCode = 1
}
