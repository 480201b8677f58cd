/**
 * Numbers of TPM 2.0 (TCG TPM 2.0 Library, Part 2): algorithms, attributes, structures.
 *
 * Nothing is imported here, so that a bundler can write the numbers where they are used.
 */

/** TPM_ALG_RSA */
export const tpmRsa = 0x0001
/** TPM_ALG_AES */
export const tpmAes = 0x0006
/** TPM_ALG_SHA256 */
export const tpmSha256 = 0x000b
/** TPM_ALG_SHA384 */
export const tpmSha384 = 0x000c
/** TPM_ALG_NULL */
export const tpmNull = 0x0010
/** TPM_ALG_RSASSA */
export const tpmRsaSsa = 0x0014
/** TPM_ALG_ECDSA */
export const tpmEcdsa = 0x0018
/** TPM_ALG_ECC */
export const tpmEcc = 0x0023
/** TPM_ALG_CFB */
export const tpmCfb = 0x0043

/** A key that never leaves its TPM. */
export const fixedTpm = 0x2
/** A key that never gets another parent. */
export const fixedParent = 0x10
/** A key that its TPM made. */
export const sensitiveDataOrigin = 0x20
/** A key for what its TPM made, and for nothing else. */
export const restricted = 0x10000
/** A key that decrypts. */
export const decrypt = 0x20000
/** A key that signs. */
export const sign = 0x40000

/** TPM_GENERATED_VALUE: no restricted key signs what somebody else begins so. */
export const generatedValue = 0xff544347
/** TPM_ST_ATTEST_QUOTE */
export const typeQuote = 0x8018
/** The exponent of RSA keys; 0 stands for it, too. */
export const defaultExponent = 65_537
