/** Numbers in reports of NVIDIA GPUs. Nothing is imported here, so that a bundler can write them where they are used. */

/** Bytes of both nonces, the one that was sent and the GPU's own. */
export const nonceBytes = 32
/** Bytes of the signature, r ‖ s. */
export const signatureBytes = 96
/** Value of what is off. */
export const off = 0x55

/** Type of what NVIDIA adds: the version of the driver. */
export const driverType = 3
/** The version of the VBIOS. */
export const vbiosType = 6
/** Whether the video decoder is off. */
export const decoderType = 11
/** The hash of the firmware. */
export const firmwareType = 20
/** Whether the mode for several GPUs is off. */
export const pcieType = 21
/** Index of the measurement that says nothing while the video decoder is off. */
export const decoderIndex = 35
/** Tag of `fwids` in DiceTcbInfo. */
export const fwidsTag = 0xa6
