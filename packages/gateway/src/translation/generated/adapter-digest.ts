/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = '8096e03bf67f578e90ec3d17c77629a27c7aeeb5ff49801bd8e501a64474ea36'
