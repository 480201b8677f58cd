/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = '3c342ea061ec4745a9df0e8e0d080e06913935897ef31ce4089a26ac00e33cc4'
