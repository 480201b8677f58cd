import type { AttackedNetwork } from './own-network.ts'
export function startStockNetwork(_scheme: string): Promise<AttackedNetwork> { throw new Error('no') }
