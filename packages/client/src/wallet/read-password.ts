/** Where the password of a keystore comes from: a file, the environment, or a person at a terminal. */
import { createReadStream } from 'node:fs'
import { ReadStream } from 'node:tty'
import { ClientError } from '../errors.ts'

/** Environment variable that holds the password. */
export const passwordVariable = 'COUNTERSIGN_WALLET_PASSWORD'

const maxPasswordBytes = 4096

/** The parts of a terminal that are used. */
export type PasswordPrompt = {
  readonly input: NodeJS.ReadStream
  readonly write: (text: string) => void
}

/**
 * The password: of the file if one is named (without the line end), else of the environment, else what is typed, unseen.
 *
 * @throws ClientError `file-unreadable`, `keystore-password` when there is no terminal to ask at.
 */
export async function readPassword(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  prompt: PasswordPrompt,
  question = 'password: ',
): Promise<Uint8Array> {
  if (file !== undefined) return readPasswordFile(file)
  const given = environment[passwordVariable]
  if (given !== undefined) return Buffer.from(given, 'utf8')
  const { input, write } = prompt
  if (!(input instanceof ReadStream)) {
    const detail = `no terminal to ask at: set ${passwordVariable} or name a file`
    throw new ClientError('keystore-password', { detail })
  }
  return typeUnseen(input, write, question)
}

async function readPasswordFile(path: string): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  try {
    const stream: AsyncIterable<unknown> = createReadStream(path, { end: maxPasswordBytes })
    for await (const chunk of stream) if (chunk instanceof Buffer) chunks.push(chunk)
  } catch (cause) {
    throw new ClientError('file-unreadable', { detail: path, cause })
  }
  const bytes = Buffer.concat(chunks)
  if (bytes.length > maxPasswordBytes) {
    throw new ClientError('keystore-password', { detail: 'longer than 4 KiB' })
  }
  return Uint8Array.from(Buffer.from(bytes.toString('latin1').replace(/\r?\n$/, ''), 'latin1'))
}

const enter = new Set(['\r', '\n', '\u0004'])
const erase = new Set(['\u007f', '\b'])
const interrupt = '\u0003'

function typeUnseen(
  input: ReadStream,
  write: (text: string) => void,
  question: string,
): Promise<Uint8Array> {
  write(question)
  input.setRawMode(true)
  input.setEncoding('utf8')
  input.resume()
  return new Promise((resolve, reject) => {
    let typed = ''
    const stop = (): void => {
      input.off('data', take)
      input.setRawMode(false)
      input.pause()
      write('\n')
    }
    function take(text: string): void {
      for (const character of text) {
        if (character === interrupt || typed.length > maxPasswordBytes) {
          stop()
          reject(new ClientError('keystore-password', { detail: 'not given' }))
          return
        }
        if (enter.has(character)) {
          stop()
          resolve(Buffer.from(typed, 'utf8'))
          return
        }
        typed = erase.has(character) ? typed.slice(0, -1) : typed + character
      }
    }
    input.on('data', take)
  })
}
