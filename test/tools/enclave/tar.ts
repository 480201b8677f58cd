/** Tar archives with nothing of the machine in them: no time, no owner but what is given (POSIX ustar). */

/** One entry. Paths are relative, without `..`, of at most 100 bytes. */
export type TarEntry =
  | {
      readonly kind: 'folder'
      readonly path: string
      readonly mode: number
      readonly owner: number
    }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }

const blockBytes = 512

/**
 * The pieces of an archive, one after the other; entries stand in ascending order of their paths, so folders stand
 * before what is in them.
 *
 * @throws RangeError for a path or target that ustar has no room for.
 */
export function encodeTar(entries: readonly TarEntry[]): readonly Uint8Array[] {
  const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  return [...sorted.flatMap(encodeEntry), Buffer.alloc(2 * blockBytes)]
}

function encodeEntry(entry: TarEntry): readonly Uint8Array[] {
  switch (entry.kind) {
    case 'folder':
      return [createHeader({ ...entry, path: `${entry.path}/`, type: '5', target: '', size: 0 })]
    case 'link':
      return [createHeader({ ...entry, mode: 0o777, owner: 0, type: '2', size: 0 })]
    case 'file': {
      const { bytes } = entry
      const padding = (blockBytes - (bytes.length % blockBytes)) % blockBytes
      const header = createHeader({ ...entry, owner: 0, type: '0', target: '', size: bytes.length })
      return [header, bytes, Buffer.alloc(padding)]
    }
  }
}

function createHeader(entry: {
  readonly path: string
  readonly mode: number
  readonly owner: number
  readonly type: string
  readonly target: string
  readonly size: number
}): Uint8Array {
  const { path, target } = entry
  if (Buffer.byteLength(path) > 100 || Buffer.byteLength(target) > 100) {
    throw new RangeError(`${path} is too long`)
  }
  const header = Buffer.alloc(blockBytes)
  const octal = (value: number, at: number, width: number): void => {
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1')
  }
  header.write(path, 0)
  octal(entry.mode, 100, 8)
  octal(entry.owner, 108, 8)
  octal(entry.owner, 116, 8)
  octal(entry.size, 124, 12)
  octal(0, 136, 12)
  header.write(entry.type, 156, 'latin1')
  header.write(target, 157)
  header.write('ustar\x0000', 257, 'latin1')
  // The checksum is taken with spaces in its place.
  header.fill(0x20, 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}
