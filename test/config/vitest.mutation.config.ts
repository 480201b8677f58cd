import { defineConfig } from 'vitest/config'
import config from './vitest.config.ts'

/** The tests of `protocol` alone: what kills its mutants must stand beside it. */
export default defineConfig({
  ...config,
  test: { ...config.test, include: ['packages/protocol/test/**/*.test.ts'] },
})
