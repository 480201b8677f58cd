/** Which tests run together, and what is counted while they run. */

/** What to run. */
export interface TestRunOptions {
  /** Parts of file names; empty for all tests. */
  readonly filters: readonly string[]
  readonly coverage: boolean
}

/** One run of the runner: what to run, and patterns of files that stay out. */
export interface TestRun extends TestRunOptions {
  readonly exclude: readonly string[]
}

/** The tests of `protocol`: they alone must cover it, and counting slows down everything else. */
const covering = 'packages/protocol/test/'

/**
 * A full run with coverage becomes two: the tests that must cover `protocol`, and all others without counting.
 *
 * @param files every test file of the repository.
 * @throws Error when a part would be empty.
 */
export function planRuns(options: TestRunOptions, files: readonly string[]): readonly TestRun[] {
  if (options.filters.length > 0 || !options.coverage) return [{ ...options, exclude: [] }]
  const covered = files.filter((path) => path.startsWith(covering)).length
  if (covered === 0 || covered === files.length) throw new Error('a part of the tests is empty')
  return [
    { filters: [covering], coverage: true, exclude: [] },
    // No list of files: the runner takes parts of names, and `test/a.test.ts` ends other names too.
    { filters: [], coverage: false, exclude: [`${covering}**`] },
  ]
}
