/** How cases stand in their files. */

/** JSON with a line for each member of each case. */
export function formatCases(cases: readonly object[]): string {
  const blocks = cases.map((stored) => {
    const members = Object.entries(stored).map(
      ([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
    )
    return `  {\n${members.join(',\n')}\n  }`
  })
  return `[\n${blocks.join(',\n')}\n]\n`
}
