/** Bundles for browsers, made as anybody would make them. */
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** The text of one ES module with all that `entry` needs. */
export async function bundleForBrowsers(
  entry: string,
  options: { readonly minify: boolean },
): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: entry,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['source'],
    minify: options.minify,
    logLevel: 'silent',
  })
  const [file] = outputFiles
  if (file === undefined) throw new Error('esbuild wrote nothing')
  return file.text
}
