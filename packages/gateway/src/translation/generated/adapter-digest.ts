/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = '704a3daaa75f88770b1a61729a60575a9bb87a8ea3312d57653d115f0197e13f'
