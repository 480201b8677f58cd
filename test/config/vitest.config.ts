import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Workspaces resolve to their sources; packages of others as Node would resolve them. */
const conditions = ['source', 'node', 'module', 'development|production']

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    execArgv: ['--conditions=source'],
    // Each file may start servers, a chain or a browser: more workers would only take turns.
    maxWorkers: Math.min(8, availableParallelism()),
    // Generous: a loaded machine is no fault, nor one that stands still for some seconds.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    // Vitest's own second is for pages, not for processes and blocks.
    expect: { requireAssertions: true, poll: { timeout: 60_000 } },
    retry: 0,
    allowOnly: false,
    passWithNoTests: false,
    coverage: {
      enabled: false,
      provider: 'v8',
      include: ['packages/protocol/src/**/*.ts'],
      exclude: ['**/*.d.ts', '**/generated/**'],
      reporter: ['text-summary', 'json-summary', ['text', { file: 'lines.txt', skipFull: true }]],
      reportsDirectory: 'coverage',
      reportOnFailure: true,
      thresholds: {
        'packages/protocol/src/**': { lines: 100, branches: 100, functions: 100, statements: 100 },
      },
    },
  },
})
