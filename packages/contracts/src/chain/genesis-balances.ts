/** Who starts with what. */

/** First balances. They matter only when the data directory is new. */
export type GenesisBalances = {
  /** Native balance in wei by address. */
  readonly wei: ReadonlyMap<`0x${string}`, bigint>
  /** Test USDC in atomic units (6 decimals) by address. */
  readonly usdcAtomic: ReadonlyMap<`0x${string}`, bigint>
}
