/** Reads what a caller sent against a list of what can be translated: what is not on the list is refused by its name. */

/** A member of a request that has no faithful counterpart at the provider. */
export class NotTranslatable extends Error {
  /** Where it stands: `messages[2].content[0].image_url`. */
  readonly member: string

  constructor(member: string, reason: string, options?: ErrorOptions) {
    super(reason, options)
    this.name = 'NotTranslatable'
    this.member = member
  }
}

/** An object whose members are taken one by one. */
export type Members = {
  /** A member; `undefined` when it is absent or null. */
  take(name: string): unknown
  /** A member that may stand only with a value that says what its absence says. */
  takeNeutral(name: string, ...neutral: readonly unknown[]): void
  takeText(name: string): string
  takeOptionalText(name: string): string | undefined
  takeNumber(name: string): number | undefined
  takeBoolean(name: string): boolean | undefined
  takeList(name: string): readonly unknown[] | undefined
  /** Where a member stands. */
  at(name: string): string
  /** @throws NotTranslatable for the first member that nobody took. */
  end(): void
}

const noCounterpart = 'has no counterpart at the provider of this model'

/** Refuses a member. */
export function refuseMember(member: string, reason: string = noCounterpart): NotTranslatable {
  return new NotTranslatable(member, reason)
}

/** @throws NotTranslatable for what is no object. */
export function openMembers(value: unknown, path: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuseMember(path === '' ? 'body' : path, 'must be an object')
  }
  const members = new Map<string, unknown>(Object.entries(value))
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const take = (name: string): unknown => {
    const member = members.get(name)
    members.delete(name)
    return member ?? undefined
  }
  const takeIf = <T>(
    name: string,
    is: (member: unknown) => member is T,
    what: string,
  ): T | undefined => {
    const member = take(name)
    if (member === undefined || is(member)) return member
    throw refuseMember(at(name), `must be ${what}`)
  }
  return {
    take,
    takeNeutral: (name, ...neutral) => {
      const member = take(name)
      const isEmpty = Array.isArray(member) && member.length === 0 && neutral.includes('[]')
      if (member !== undefined && !isEmpty && !neutral.includes(member))
        throw refuseMember(at(name))
    },
    takeText: (name) => {
      const text = takeIf(name, isText, 'a string')
      if (text === undefined) throw refuseMember(at(name), 'is missing')
      return text
    },
    takeOptionalText: (name) => takeIf(name, isText, 'a string'),
    takeNumber: (name) => takeIf(name, isNumber, 'a number'),
    takeBoolean: (name) => takeIf(name, isBoolean, 'true or false'),
    takeList: (name) => takeIf(name, isList, 'an array'),
    at,
    end: () => {
      const [left] = members.keys()
      if (left !== undefined) throw refuseMember(at(left))
    },
  }
}

/** The items of a list, each with its place. */
export function* eachItem(
  list: readonly unknown[],
  path: string,
): Generator<readonly [item: unknown, path: string]> {
  for (const [index, item] of list.entries()) yield [item, `${path}[${index}]`]
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean'
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}
