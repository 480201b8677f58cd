/** What processes have used, from /proc: exact to the nanosecond where `times` counts ticks. */
import { readdirSync, readFileSync } from 'node:fs'

/** CPU time of these processes and, unless told, their children, microseconds. Threads that have ended are not in it. */
export function readCpuUs(pids: readonly number[], hasChildren = true): number {
  let nanoseconds = 0
  for (const pid of hasChildren ? withChildren(pids) : pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) nanoseconds += readTask(pid, task)
  }
  return nanoseconds / 1000
}

/** CPU time of the first threads of these processes and their children, which run JavaScript, microseconds. */
export function readMainUs(pids: readonly number[]): number {
  return withChildren(pids).reduce((sum, pid) => sum + readTask(pid, String(pid)), 0) / 1000
}

/** Resident memory of these processes and their children, bytes. */
export function readResidentBytes(pids: readonly number[]): number {
  let kibibytes = 0
  for (const pid of withChildren(pids)) {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    kibibytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  }
  return kibibytes * 1024
}

/** Nanoseconds. */
function readTask(pid: number, task: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0])
}

function withChildren(pids: readonly number[]): readonly number[] {
  return pids.flatMap((pid) => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    return [pid, ...withChildren(children.split(' ').filter(Boolean).map(Number))]
  })
}
