/** What `npm run build:enclave` measured beside the bundle. The build replaces this module (spec/build.md BD2.3). */

/** SHA-256 in hex of each file beside the bundle, by its name; `undefined` where sources run. */
export const measuredFiles: ReadonlyMap<string, string> | undefined = undefined
