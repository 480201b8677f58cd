/** What we use of WebAssembly, whose types come with those of browsers only. */
declare namespace WebAssembly {
  type Memory = { readonly buffer: ArrayBuffer }
  type Exports = Readonly<Record<string, Memory | (() => void)>>
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  const Instance: new (module: object) => { readonly exports: Exports }
  const Memory: new (size: { readonly initial: number }) => Memory
}
