/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = 'a6818b33c6d26f7d021babb11e0694c2b3695b4a1f205dab4dc316a3dd9d9563'
