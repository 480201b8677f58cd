/** The gateway with a clock and points of death that the driver sets: it refuses to start with code loaded before it. */
import { dieAtPoints } from './crash-points.ts'
import { skewClock } from './skewed-clock.ts'

skewClock()
dieAtPoints()
await import('../../../packages/gateway/src/main.ts')
