/** Written by `npm run generate`. */

/** SHA-256 over the translator with all that it imports (spec/translation.md TR6), in hex. */
export const adapterDigest = 'cee6ea6713fd65e91dbb06581c0754455e1cd82862962fe510ae4670b05f4215'
