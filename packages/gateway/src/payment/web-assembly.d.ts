/** What we use of WebAssembly, whose types come with those of browsers only. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>)
  }
  class Instance {
    constructor(module: Module)
    readonly exports: Exports
  }
  class Memory {
    readonly buffer: ArrayBuffer
  }
  type Exports = Readonly<Record<string, unknown>>
}
