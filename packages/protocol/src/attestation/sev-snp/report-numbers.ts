/** Sizes in reports of SEV-SNP. Nothing is imported here, so that a bundler can write them where they are used. */

/** Bytes of a report. */
export const reportBytes = 1184
/** Of these, the bytes that are signed. */
export const signedBytes = 0x2a0
/** Bytes that r has, and that s has. */
export const halfBytes = 72
/** Of these, the bytes that are used. */
export const usedBytes = 48
/** Tag of the name of a product in a certificate. */
export const ia5StringTag = 0x16
