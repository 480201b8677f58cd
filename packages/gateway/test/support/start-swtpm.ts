/** A software TPM with endorsement certificates of its own local authority (Debian: swtpm, swtpm-tools). */
import { execFile, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A TPM that runs. */
export interface RunningSwtpm {
  /** Socket that speaks TPM commands. It serves one connection at a time. */
  readonly socketPath: string
  /** The test root and what it issued, as DER: the root, the issuer of endorsement certificates. */
  readonly rootCertificate: Uint8Array
  readonly issuerCertificate: Uint8Array
  /** SHA-256 of the root in hex: its pin. */
  readonly rootDigest: string
  /** The same TPM behind a character device (a pseudo terminal), as `/dev/tpmrm0` would be. */
  serveDevice(): Promise<{ readonly path: string; stop(): Promise<void> }>
  stop(): Promise<void>
}

const run = promisify(execFile)
const python = '/usr/bin/python3'
const programs = ['/usr/bin/swtpm', '/usr/bin/swtpm_setup', '/usr/bin/swtpm_localca']

/** What a test that is skipped for want of it says; `undefined` when it is installed. */
export const swtpmMissing: string | undefined = programs.every((program) => existsSync(program))
  ? undefined
  : 'swtpm is not installed: apt-get install swtpm swtpm-tools'

/** As above, for the character device in front of it. */
export const deviceMissing: string | undefined =
  swtpmMissing ?? (existsSync(python) ? undefined : 'python3 is not installed')

/** Makes a TPM and starts it: 1.5 s, most of it for keys and certificates. */
export async function startSwtpm(): Promise<RunningSwtpm> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-swtpm-'))
  const file = (name: string): string => join(folder, name)
  mkdirSync(file('state'))
  mkdirSync(file('ca'))
  writeFileSync(
    file('setup.conf'),
    `create_certs_tool= /usr/bin/swtpm_localca
create_certs_tool_config = ${file('localca.conf')}
create_certs_tool_options = ${file('localca.options')}
active_pcr_banks = sha256
`,
  )
  writeFileSync(
    file('localca.conf'),
    `statedir = ${file('ca')}
signingkey = ${file('ca/signkey.pem')}
issuercert = ${file('ca/issuercert.pem')}
certserial = ${file('ca/certserial')}
`,
  )
  const options = ['--platform-manufacturer Test', '--platform-version 1', '--platform-model sim']
  writeFileSync(file('localca.options'), `${options.join('\n')}\n`)
  const setup = ['--tpm2', '--tpmstate', file('state'), '--create-ek-cert']
  await run('/usr/bin/swtpm_setup', [...setup, '--config', file('setup.conf')])
  await startDaemon(folder)
  const rootCertificate = readPem(file('ca/swtpm-localca-rootca-cert.pem'))
  return {
    socketPath: file('tpm.sock'),
    rootCertificate,
    rootDigest: hash('sha256', rootCertificate),
    issuerCertificate: readPem(file('ca/issuercert.pem')),
    serveDevice: () => serveDevice(file('tpm.sock')),
    stop: async () => {
      await run('/usr/bin/swtpm_ioctl', ['--unix', file('ctrl.sock'), '-s'])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A daemon's parent ends when its sockets are there: nothing has to be waited for. */
async function startDaemon(folder: string): Promise<void> {
  await run('/usr/bin/swtpm', [
    'socket',
    '--tpm2',
    '--daemon',
    '--tpmstate',
    `dir=${join(folder, 'state')}`,
    '--server',
    `type=unixio,path=${join(folder, 'tpm.sock')}`,
    '--ctrl',
    `type=unixio,path=${join(folder, 'ctrl.sock')}`,
    '--flags',
    'not-need-init,startup-clear',
  ])
}

async function serveDevice(
  socketPath: string,
): Promise<{ readonly path: string; stop(): Promise<void> }> {
  const script = fileURLToPath(new URL('pty-to-socket.py', import.meta.url))
  const child = spawn(python, [script, socketPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const [path]: unknown[] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    path: String(path),
    stop: async () => {
      child.kill('SIGTERM')
      await exited
    },
  }
}

function readPem(file: string): Uint8Array {
  const base64 = readFileSync(file, 'utf8').replaceAll(/-----[A-Z ]+-----|\s/g, '')
  return new Uint8Array(Buffer.from(base64, 'base64'))
}
