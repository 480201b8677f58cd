/** The messages wire of Anthropic (spec/metering.md ME4.4). */
import {
  takeError,
  takeFinish,
  takeModel,
  takeUsage,
  type Figures,
  type Found,
  type WireReader,
} from '../found.ts'
import { countAt, isObject, itemsAt, objectAt, type JsonObject } from '../read-json.ts'
import { addShare, checkMembers, createShares, divide, toCounts, type Shares } from './shares.ts'

const usageMembers: ReadonlySet<string> = new Set([
  'input_tokens',
  'cache_creation_input_tokens',
  'cache_read_input_tokens',
  'output_tokens',
])
const toolMembers: ReadonlySet<string> = new Set(['web_search_requests', 'web_fetch_requests'])

/** A reader of messages. */
export function createMessagesReader(): WireReader {
  return {
    // What a model writes has its quotes escaped, so that it cannot look like these.
    marks: /"(?:message_(?:start|delta|stop)|error)"/,
    takeEvent,
    takeBody(found, json) {
      if (!isObject(json)) return
      takeMessage(found, json, true)
      takeError(found, json['error'])
      found.isTerminated = true
    },
    toFigures: readUsage,
    sentinel: null,
  }
}

function takeEvent(found: Found, json: JsonObject): void {
  switch (json['type']) {
    case 'message_start':
      // Some servers repeat the start (recorded): one that comes late must not take the output back.
      if (!found.isExact) takeMessage(found, objectAt(json, 'message'), false)
      break
    case 'message_delta':
      takeFinish(found, objectAt(json, 'delta'), 'stop_reason')
      takeUsage(found, json['usage'], true)
      break
    case 'message_stop':
      found.isTerminated = true
      break
    case 'error':
      found.hasError = true
      break
    default:
  }
}

function takeMessage(found: Found, message: JsonObject, isExact: boolean): void {
  takeModel(found, message)
  takeFinish(found, message, 'stop_reason')
  takeUsage(found, message['usage'], isExact)
  const tier = objectAt(message, 'usage')['service_tier']
  if (typeof tier === 'string') found.serviceTier = tier.slice(0, 64)
}

function readUsage(usage: JsonObject): Figures | undefined {
  if (countAt(usage, 'input_tokens') === undefined) return undefined
  const shares = createShares()
  addTokens(shares, usage)
  // What it took to make a conversation shorter is billed, and is not part of the other figures.
  for (const pass of itemsAt(usage, 'iterations')) {
    if (isObject(pass) && pass['type'] === 'compaction') addTokens(shares, pass)
  }
  const tools = objectAt(usage, 'server_tool_use')
  addShare(shares, 'web-search', countAt(tools, 'web_search_requests') ?? 0)
  addShare(shares, 'web-fetch', countAt(tools, 'web_fetch_requests') ?? 0)
  checkMembers(shares, usage, usageMembers)
  checkMembers(shares, tools, toolMembers)
  return { ...toCounts(shares), providerTicks: null }
}

function addTokens(shares: Shares, usage: JsonObject): void {
  // Neither cache is part of input_tokens here.
  addShare(shares, 'input', countAt(usage, 'input_tokens') ?? 0)
  addShare(shares, 'cache-read', countAt(usage, 'cache_read_input_tokens') ?? 0)
  addCacheWrites(shares, usage)
  const thinking = countAt(objectAt(usage, 'output_tokens_details'), 'thinking_tokens') ?? 0
  divide(shares, countAt(usage, 'output_tokens') ?? 0, [['reasoning', thinking]], 'output')
}

/** The total is the last word; its split may be older (recorded) and then covers only a part of it. */
function addCacheWrites(shares: Shares, usage: JsonObject): void {
  const split = objectAt(usage, 'cache_creation')
  const short = countAt(split, 'ephemeral_5m_input_tokens') ?? 0
  const long = countAt(split, 'ephemeral_1h_input_tokens') ?? 0
  const total = countAt(usage, 'cache_creation_input_tokens') ?? short + long
  if (total > short + long) shares.notes.add('cache-write-unsplit')
  // What has no lifetime is of the only class that was used, else of the cheaper one.
  const restKind = long > 0 && short === 0 ? 'cache-write-1h' : 'cache-write-5m'
  divide(
    shares,
    total,
    [
      ['cache-write-5m', short],
      ['cache-write-1h', long],
    ],
    restKind,
  )
}
