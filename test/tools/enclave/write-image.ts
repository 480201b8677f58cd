/** Writes an image as a folder that every tool for OCI images reads. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Image } from './oci-image.ts'

/** Writes the layout into `folder`. */
export function writeImage({ blobs, files }: Image, folder: string): void {
  const blobFolder = join(folder, 'blobs/sha256')
  mkdirSync(blobFolder, { recursive: true })
  for (const { digest, pieces } of blobs) {
    const file = openSync(join(blobFolder, digest.slice('sha256:'.length)), 'w')
    for (const piece of pieces) writeWhole(file, piece)
    closeSync(file)
  }
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
}

function writeWhole(file: number, bytes: Uint8Array): void {
  let written = 0
  while (written < bytes.length) written += writeSync(file, bytes, written)
}
