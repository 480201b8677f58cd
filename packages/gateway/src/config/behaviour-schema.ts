/** How calls on a route behave: members of an upstream, and of a model, where they hold for all of its routes. */
import { z } from 'zod'

const milliseconds = z.int().min(1).max(86_400_000)

const retry = z
  .strictObject({
    attempts: z
      .int()
      .min(1)
      .max(5)
      .default(2)
      .describe('Most attempts at one upstream, the first included.'),
    maxDelayMs: z
      .int()
      .min(0)
      .max(60_000)
      .default(2000)
      .describe(
        'Longest wait before an attempt; an upstream that asks for more is not tried again.',
      ),
  })
  .describe(
    'Attempts after a failed connection, or a status 429, 503 or 529; without it there is one.',
  )

const onDisconnect = z
  .union([
    z.literal('abort'),
    z.strictObject({
      drain: z.strictObject({
        maxMs: milliseconds
          .default(60_000)
          .describe('How long an answer may still take after its caller has left.'),
      }),
    }),
  ])
  .describe('"abort" (default): the upstream ends with its caller. "drain": it is read to its end.')

const callTimeouts = {
  firstByteMs: milliseconds.optional().describe('In place of limits.firstByteTimeoutMs.'),
  idleMs: milliseconds.optional().describe('In place of limits.idleTimeoutMs.'),
  totalMs: milliseconds.optional().describe('In place of limits.totalTimeoutMs.'),
}

/** Members of a model. */
export const modelBehaviour = {
  timeouts: z.strictObject(callTimeouts).optional(),
  retry: retry.optional(),
  onDisconnect: onDisconnect.optional(),
}

/** Members of an upstream. */
export const upstreamBehaviour = {
  timeouts: z
    .strictObject({
      connectMs: milliseconds.optional().describe('In place of limits.connectTimeoutMs.'),
      ...callTimeouts,
    })
    .optional(),
  retry: retry.optional(),
  onDisconnect: onDisconnect.optional(),
}

const behaviour = z.strictObject(modelBehaviour)

/** What a model, or an upstream, says of the behaviour of its calls. */
export type BehaviourConfig = z.infer<typeof behaviour>
