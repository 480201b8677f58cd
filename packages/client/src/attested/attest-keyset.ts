/** The seam behind which keysets of gateways are attested. */
import type { Keyset } from '@countersign/protocol/receipt/keyset'

/** Gives an attested keyset of an origin that fits. `fits`: one that does not is asked for anew, once. */
export type AttestKeyset = (
  origin: string,
  fits: (keyset: Keyset) => boolean,
) => Promise<Keyset | undefined>
