/** Tables of cases by the error code that must come out. */
import { errorCodes, type ErrorCode } from '@countersign/protocol/errors'

/** Cases by code. */
export type CodeTable<Row> = Readonly<Partial<Record<ErrorCode, readonly Row[]>>>

/** Every row with its code, in the order of the table. */
export function listRows<Row>(table: CodeTable<Row>): readonly (readonly [ErrorCode, Row])[] {
  return Object.entries(table).flatMap(([code, rows]) => {
    if (!isErrorCode(code)) throw new Error(`no such code: ${code}`)
    return rows.map((row) => [code, row] as const)
  })
}

function isErrorCode(code: string): code is ErrorCode {
  return errorCodes.has(code)
}
