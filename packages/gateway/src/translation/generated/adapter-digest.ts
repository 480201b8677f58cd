/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = 'a96317bffae70fbbac72628147f3afffa6719d42969e10f5e28ede63ccdcd415'
