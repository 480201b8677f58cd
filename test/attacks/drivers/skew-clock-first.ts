/** Loaded before a program (`--import`) whose clock the driver can put ahead. */
import { skewClock } from './skewed-clock.ts'

skewClock()
