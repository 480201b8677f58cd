/**
 * Called before a gateway under attack starts: while a file holds a number, the process dies (SIGKILL, to itself) at the
 * point of that number, counted from when the file appeared. Points are all that outlives the process or leaves it: each
 * durable write, each broadcast, what the upstream and the caller see; before it and after it.
 */
import { subscribe } from 'node:diagnostics_channel'
import fs, { readFileSync, writeFileSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { DatabaseSync, StatementSync } from 'node:sqlite'

/** Passes a point, or dies at it. */
type At = (point: string) => void

/** Does so; without the name of a file in the environment, nothing. */
export function dieAtPoints(): void {
  const file = process.env['COUNTERSIGN_ATTACK_CRASH']
  if (file === undefined) return
  const at = createPoints(file)
  watchJournal(at)
  watchDatabases(at)
  watchBroadcasts(at)
  watchUpstream(at)
  watchAnswers(at)
  syncBuiltinESMExports()
}

function createPoints(file: string): At {
  let passed = 0
  return (point) => {
    const wanted = readNumber(file)
    passed = wanted === undefined ? 0 : passed + 1
    if (wanted === undefined || passed < wanted) return
    writeFileSync(`${file}.died`, point)
    process.kill(process.pid, 'SIGKILL')
  }
}

function readNumber(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

/** A function with the same arguments, around which points stand; its last argument is a callback. */
function around(at: At, name: string, original: unknown): (...args: unknown[]) => unknown {
  return (...args) => {
    // The log is no durable write.
    const isLog = typeof args[0] === 'number' && args[0] <= 2
    const last = args.at(-1)
    if (isLog || typeof last !== 'function') return call(original, undefined, args)
    at(`before ${name}`)
    const done = (...results: unknown[]): unknown => {
      at(`after ${name}`)
      return call(last, undefined, results)
    }
    return call(original, undefined, [...args.slice(0, -1), done])
  }
}

function call(original: unknown, owner: unknown, args: readonly unknown[]): unknown {
  if (typeof original !== 'function') throw new TypeError('nothing to watch')
  return Reflect.apply(original, owner, [...args])
}

function methodOf(owner: object, name: string): unknown {
  const method: unknown = Reflect.get(owner, name)
  if (typeof method !== 'function') throw new TypeError(`${name} is no method`)
  return method
}

function watchJournal(at: At): void {
  const { write, fdatasync } = fs
  Object.assign(fs, {
    write: around(at, 'a write of the journal', write),
    fdatasync: around(at, 'a sync of the journal', fdatasync),
  })
}

function watchDatabases(at: At): void {
  // Whether a transaction is open: one database at a time has one, and nothing is awaited in it.
  let isOpen = false
  const exec = methodOf(DatabaseSync.prototype, 'exec')
  const run = methodOf(StatementSync.prototype, 'run')
  Object.assign(DatabaseSync.prototype, {
    exec(this: DatabaseSync, sql: string): void {
      const isCommit = sql === 'COMMIT'
      if (sql.startsWith('BEGIN IMM')) isOpen = true
      if (isCommit) at('before a commit')
      call(exec, this, [sql])
      if (isCommit) at('after a commit')
      if (isCommit || sql === 'ROLLBACK') isOpen = false
    },
  })
  Object.assign(StatementSync.prototype, {
    run(this: StatementSync, ...args: unknown[]): unknown {
      const isAlone = !isOpen
      if (isAlone) at('before a row is written')
      const result = call(run, this, args)
      if (isAlone) at('after a row was written')
      return result
    },
  })
}

function watchBroadcasts(at: At): void {
  const { fetch } = globalThis
  globalThis.fetch = async (input, init) => {
    const isBroadcast =
      typeof init?.body === 'string' && init.body.includes('eth_sendRawTransaction')
    if (isBroadcast) at('before a broadcast')
    const answer = await fetch(input, init)
    if (isBroadcast) at('after a broadcast')
    return answer
  }
}

function watchUpstream(at: At): void {
  const points = {
    'undici:request:create': 'before the upstream is asked',
    'undici:request:headers': 'after the upstream began to answer',
    'undici:request:trailers': 'after the upstream has answered',
  }
  for (const [channel, point] of Object.entries(points)) {
    subscribe(channel, (message) => {
      // The chain is asked at its root.
      if (String(Object(Object(message).request).path).length > 1) at(point)
    })
  }
}

function watchAnswers(at: At): void {
  const writeHead = methodOf(ServerResponse.prototype, 'writeHead')
  const end = methodOf(ServerResponse.prototype, 'end')
  Object.assign(ServerResponse.prototype, {
    writeHead(this: ServerResponse, ...args: unknown[]): unknown {
      at('before the answer')
      return call(writeHead, this, args)
    },
    end(this: ServerResponse, ...args: unknown[]): unknown {
      at('before the end of the answer')
      this.once('finish', () => {
        at('after the answer')
      })
      return call(end, this, args)
    },
  })
}
