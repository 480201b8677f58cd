/** A JSON-RPC error as it goes to whoever asked. */

/** The request was understood and is refused, with this code and these data. */
export class RpcRefusal extends Error {
  override readonly name: string = 'RpcRefusal'
  readonly code: number
  readonly data: unknown

  constructor(code: number, message: string, data: unknown, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.data = data
  }
}
