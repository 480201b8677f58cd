/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = 'f2a2e037b7c61b7d3365e8cfa6d91add90ac557a7d9af94a3f0816c72041495a'
