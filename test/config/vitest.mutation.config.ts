import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import config from './vitest.config.ts'

const protocol = fileURLToPath(new URL('../../packages/protocol/src/', import.meta.url))

/** The tests of `protocol` alone: what kills its mutants must stand beside it. */
export default defineConfig({
  ...config,
  resolve: {
    ...config.resolve,
    // The workspace link leads out of the copy that holds the mutants: every mutant would survive.
    alias: [
      { find: /^@countersign\/protocol$/, replacement: `${protocol}index.ts` },
      { find: /^@countersign\/protocol\/(.*)$/, replacement: `${protocol}$1.ts` },
    ],
  },
  test: {
    ...config.test,
    include: ['packages/protocol/test/**/*.test.ts'],
    env: { COUNTERSIGN_TEST_SHARE: '0.02' },
  },
})
