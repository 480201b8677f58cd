/**
 * Limits and sizes of spec/attestation.md, in the order of its sections: bytes where a name says so, numbers otherwise.
 *
 * Nothing is imported here, so that a bundler can write the numbers where they are used.
 */

/** AT1.2: what a platform gave. */
export const maxRawBytes = 65_536
/** AT1.2: one piece of collateral. */
export const maxCollateralBytes = 262_144
/** AT1.2: pieces of collateral. */
export const maxCollateral = 32
/** AT1.2: evidence with its collateral. */
export const maxEvidenceBytes = 1_048_576
/** AT8: a policy. */
export const maxPolicyBytes = 65_536
/** AT8: machines in a policy. */
export const maxMachines = 1024
/** AT8: how far clocks may differ. */
export const maxClockSkewMs = 86_400_000
/** AT2.2: a serial number. */
export const maxSerialBytes = 20
/** AT2.4: extensions of a certificate or a list. */
export const maxExtensions = 32
/** AT9, AT10: certificates of a chain, root and leaf included. */
export const minSignedReportChain = 3
/** AT7.1: a quote of Intel. */
export const maxQuoteBytes = 65_536
/** AT7.1: the report of an enclave, exactly. */
export const enclaveReportBytes = 384
/** AT7.4: a statement of Intel's. */
export const maxStatementBytes = 262_144
/** AT7.4: items of a list in it. */
export const maxStatementItems = 256
/** AT7.4: a text in it that is read. */
export const maxStatementTextBytes = 256
/** AT7.3: components that have a security version. */
export const tcbComponents = 16
/** AT9: a Nitro document. */
export const maxNitroBytes = 16_384
/** AT9: certificates above the one that signed it. */
export const maxNitroCertificates = 9
/** AT9: a register, exactly. */
export const nitroPcrBytes = 48
/** AT10: a GPU report. */
export const maxGpuReportBytes = 16_384
/** AT10: a measurement, exactly. */
export const gpuDigestBytes = 48
/** AT11: a token. */
export const maxTokenBytes = 65_536
/** AT11: a text in it that is read. */
export const maxClaimBytes = 1024
/** AT11.2: a key set. */
export const maxKeySetBytes = 262_144
/** AT11.2: keys of a set. */
export const maxKeys = 64
/** AT11.5: how far the clock of a service may be ahead, milliseconds. */
export const maxTokenLeadMs = 60_000
/** AT12.1: nonces of a token. */
export const maxNonces = 6
/** AT14.1: an answer of NVIDIA's service. */
export const maxAnswerBytes = 65_536
/** AT14.1: devices in it. */
export const maxDevices = 16
/** AT15.1: evidence of a TPM. */
export const maxTpmBytes = 8192
/** AT15.1: a part of it. */
export const maxTpmPartBytes = 1024
/** AT15.1: registers. */
export const maxPcrs = 24
/** AT15.1: a register, exactly. */
export const pcrBytes = 32
/** AT15.2: the name of a key, and what is quoted with the registers. */
export const maxTpmNameBytes = 66
/** AT15.2, AT16.1: a digest. */
export const maxDigestBytes = 64
/** AT15.2: banks. */
export const maxSelections = 4
/** AT15.2: a bitmap of registers. */
export const maxBitmapBytes = 3
/** AT15.2: a modulus of a TPM, and a signature by it. */
export const maxTpmRsaBytes = 512
/** AT15.6, AT15.7: an enrolment, or the chain of an attestation key. */
export const maxEnrolmentBytes = 32_768
/** AT15.6, AT15.7: certificates of such a chain. */
export const maxTpmChain = 6
/** AT15.8: what a gateway measured. */
export const maxMeasuredLogBytes = 16_384
/** AT15.8: events in it. */
export const maxMeasuredEvents = 64
/** AT16.1: a log of firmware. */
export const maxBootLogBytes = 262_144
/** AT16.1: events in it. */
export const maxBootEvents = 4096
/** AT16.1: algorithms in it. */
export const maxAlgorithms = 8
/** AT16.1: its highest register. */
export const maxRegister = 23
/** AT18.1: the report of the hardware. */
export const maxAzureReportBytes = 16_384
/** AT18.1: the statement of the paravisor. */
export const maxRuntimeBytes = 4096
