/** A member that stands only where there is something to say. */
export function optional<K extends string, T>(
  key: K,
  value: T | undefined,
): { readonly [name in K]?: T } {
  const made: { [name in K]?: T } = {}
  if (value !== undefined) made[key] = value
  return made
}
