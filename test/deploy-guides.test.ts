import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { expect, test } from 'vitest'
import { repositoryRoot } from './tools/source-tree.ts'

const folder = join(repositoryRoot, 'docs/guides')
const guides = readdirSync(folder).filter((name) => /^deploy-.+\.md$/.test(name))

test('every deployment guide has a policy that is one, once its blanks are filled', () => {
  expect(guides.length).toBeGreaterThan(3)
  for (const name of guides) {
    const text = readFileSync(join(folder, name), 'utf8')
    const blocks = Array.from(
      text.matchAll(/^```json\n(\{[^]*?\n\})\n```$/gm),
      ([, json]) => json ?? '',
    )
    expect(blocks, name).toHaveLength(1)
    const filled = (blocks[0] ?? '').replace(/<[^>]+>/g, 'ab'.repeat(32)).replaceAll('…', 'ab')
    const { platforms, minVendors } = parseEvidencePolicy(new TextEncoder().encode(filled))
    expect(platforms.size, name).toBe(minVendors)
    expect(minVendors, name).toBe(name === 'deploy-several.md' ? 2 : 1)
  }
})
