/** The run time that the repository installs for itself. */

/** The Node major version that everything here runs on. */
const requiredMajor = 24

/**
 * Says which Node runs, and that it is the right one.
 *
 * @returns the version, e.g. `v24.21.0`.
 * @throws Error when the major version is another one.
 */
export function requireNode(version: string = process.version): string {
  if (version.startsWith(`v${String(requiredMajor)}.`)) return version
  throw new Error(
    `Node ${version} runs this, Node ${String(requiredMajor)} must: use \`npm run\` after \`npm ci\``,
  )
}
