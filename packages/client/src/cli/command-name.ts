/** How the person calls this program: from a checkout through npm, else by its name. */
export const commandName: string = import.meta.url.endsWith('.ts')
  ? 'npm run countersign --'
  : 'countersign'
