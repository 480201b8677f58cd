/** The gateway with a clock that the driver can put ahead: it refuses to start with code loaded before it. */
import { skewClock } from './skewed-clock.ts'

skewClock()
await import('../../../packages/gateway/src/main.ts')
