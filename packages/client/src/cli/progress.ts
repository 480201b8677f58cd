/** Says on a terminal what takes longer than a second. */
import type { Output } from './terminal.ts'

const firstMs = 1000
const everyMs = 200
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

/** Waits for the work; a line on `output` says so after a second, when it is a terminal, and goes when it ends. */
export async function withProgress<T>(output: Output, label: string, work: Promise<T>): Promise<T> {
  if (!output.isTerminal) return work
  const startedMs = performance.now()
  let frame = 0
  const show = (): void => {
    const seconds = Math.floor((performance.now() - startedMs) / 1000)
    const mark = frames[frame++ % frames.length] ?? ''
    output.write(`\r${output.style('dim', `${mark} ${label} (${seconds} s)`)}\u001b[K`)
  }
  let interval: NodeJS.Timeout | undefined
  const timer = setTimeout(() => {
    show()
    interval = setInterval(show, everyMs)
  }, firstMs)
  try {
    return await work
  } finally {
    clearTimeout(timer)
    clearInterval(interval)
    if (interval !== undefined) output.write('\r\u001b[K')
  }
}
