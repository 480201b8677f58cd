/** Numbers of X.690 and X.509. Nothing is imported here, so that a bundler can write them where they are used. */

/** Universal tag of BOOLEAN. */
export const booleanTag = 0x01
/** Of INTEGER. */
export const integerTag = 0x02
/** Of BIT STRING. */
export const bitStringTag = 0x03
/** Of OCTET STRING. */
export const octetStringTag = 0x04
/** Of OBJECT IDENTIFIER. */
export const oidTag = 0x06
/** Of UTCTime. */
export const utcTimeTag = 0x17
/** Of GeneralizedTime. */
export const generalizedTimeTag = 0x18
/** Of SEQUENCE. */
export const sequenceTag = 0x30

/** Bit of keyUsage: digitalSignature. */
export const signsAnything = 0x80
/** Bit of keyUsage: keyCertSign. */
export const signsCertificates = 0x04
/** Bit of keyUsage: cRLSign. */
export const signsLists = 0x02
/** All bits of keyUsage: those of a key that no certificate restricts. */
export const anyKeyUsage = 0xff
