/**
 * Many byte strings that are let go in about the order in which they came, in few blocks of memory. A block of its own
 * for each would be a new piece of the heap for every call: the system clears it, and its end is work for the garbage
 * collector.
 */

/** Where bytes lie. Once it was given back, others may lie there. */
export type Place = { readonly block: Block; readonly start: number; readonly end: number }

type Block = { readonly bytes: Buffer; usedBytes: number; places: number }

/** Owner of the blocks. */
export type ByteArena = {
  /** Room for so many bytes, with whatever lay there. */
  take(sizeBytes: number): Place
  /** The bytes themselves: copy what is to outlive the place. */
  view(place: Place): Buffer
  /** Once for each place. */
  give(place: Place): void
}

/** What is larger than this part of a block has a block of its own, or much of others would stay empty. */
const largestPart = 8
/** Empty blocks that are kept for later. */
const maxSpare = 4

/** No blocks. Beside what is held there are at most an eighth as much, and five blocks, of unused memory. */
export function createByteArena(blockBytes: number): ByteArena {
  // Owned here: the block that is being filled, and those that hold nothing.
  let filling = createBlock(0)
  const spare: Block[] = []

  function blockFor(sizeBytes: number): Block {
    if (sizeBytes > blockBytes / largestPart) return createBlock(sizeBytes)
    if (filling.usedBytes + sizeBytes > filling.bytes.length) {
      filling = spare.pop() ?? createBlock(blockBytes)
    }
    return filling
  }

  return {
    take: (sizeBytes) => {
      const block = blockFor(sizeBytes)
      const start = block.usedBytes
      block.usedBytes += sizeBytes
      block.places++
      return { block, start, end: block.usedBytes }
    },
    view: ({ block, start, end }) => block.bytes.subarray(start, end),
    give: ({ block }) => {
      block.places--
      if (block.places > 0) return
      block.usedBytes = 0
      const isUsual = block.bytes.length === blockBytes
      if (block !== filling && isUsual && spare.length < maxSpare) spare.push(block)
    },
  }
}

function createBlock(sizeBytes: number): Block {
  return { bytes: Buffer.allocUnsafeSlow(sizeBytes), usedBytes: 0, places: 0 }
}
