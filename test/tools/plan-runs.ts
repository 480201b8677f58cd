/** Which tests run together, and what is counted while they run. */

/** What to run. */
export interface TestRunOptions {
  /** Parts of file names; empty for all tests. */
  readonly filters: readonly string[]
  readonly coverage: boolean
}

/** The tests of `protocol`: they alone must cover it, and counting slows down everything else. */
const covering = /(?:^|\/)packages\/protocol\/test\//

/**
 * A full run with coverage becomes two: the tests that must cover `protocol`, and all others without counting.
 *
 * @param files every test file of the repository, by its whole path.
 * @throws Error when a part would be empty: no filter means every test.
 */
export function planRuns(
  options: TestRunOptions,
  files: readonly string[],
): readonly TestRunOptions[] {
  if (options.filters.length > 0 || !options.coverage) return [options]
  const plan = [
    { filters: files.filter((path) => covering.test(path)), coverage: true },
    { filters: files.filter((path) => !covering.test(path)), coverage: false },
  ]
  if (plan.some(({ filters }) => filters.length === 0)) {
    throw new Error('a part of the tests is empty')
  }
  return plan
}
