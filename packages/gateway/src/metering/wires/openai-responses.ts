/** The responses wire of OpenAI and xAI (spec/metering.md ME4.2). */
import {
  takeError,
  takeFinish,
  takeModel,
  takeTier,
  takeTool,
  takeUsage,
  type Found,
  type WireReader,
} from '../found.ts'
import { countAt, isObject, itemsAt, objectAt, textAt } from '../read-json.ts'
import { readOpenAiUsage } from './openai-usage.ts'

const endings: ReadonlySet<unknown> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
])
const finalStates: ReadonlySet<unknown> = new Set([
  'completed',
  'incomplete',
  'failed',
  'cancelled',
])

/** A reader of responses. `tools`: whether they are counted by their items, or stand in the usage (xAI). */
export function createResponsesReader(tools: 'by-item' | 'in-usage'): WireReader {
  const isByItem = tools === 'by-item'
  return {
    marks:
      /"(?:response\.(?:c(?:reated|ompleted|ancelled)|incomplete|failed|output_item\.done))"|:[ \t\n\r]*"error"/,
    takeEvent(found, json) {
      const type = json['type']
      if (type === 'error') found.hasError = true
      if (isByItem && type === 'response.output_item.done') takeItem(found, json['item'])
      if (type === 'response.created' || endings.has(type)) {
        takeResponse(found, json['response'], isByItem)
      }
      if (endings.has(type)) found.isTerminated = true
    },
    takeBody(found, json) {
      if (!isObject(json)) return
      takeResponse(found, json, isByItem)
      found.isTerminated = json['status'] === undefined || finalStates.has(json['status'])
    },
    toFigures(usage, found) {
      const figures = readOpenAiUsage(usage, found, { reasoning: 'inside', plainOutput: 'output' })
      const { searches } = found
      if (figures === undefined || searches === undefined) return figures
      return { ...figures, counts: { ...figures.counts, 'web-search': searches } }
    },
    sentinel: null,
  }
}

function takeResponse(found: Found, response: unknown, isByItem: boolean): void {
  if (!isObject(response)) return
  takeModel(found, response)
  takeTier(found, response)
  takeError(found, response['error'])
  // One that is in progress has not finished.
  if (finalStates.has(response['status'])) takeFinish(found, response, 'status')
  takeFinish(found, objectAt(response, 'incomplete_details'), 'reason')
  // The whole is the last word on its items; of a long one they were seen one by one.
  if (isByItem && Array.isArray(response['output'])) {
    found.tools.clear()
    for (const item of itemsAt(response, 'output')) takeItem(found, item)
  }
  takeUsage(found, response['usage'], true)
  // Newer models count their searches beside the usage; with it, for a response that has only begun says 0.
  const search = objectAt(objectAt(response, 'tool_usage'), 'web_search')
  if (isObject(response['usage'])) found.searches = countAt(search, 'num_requests')
}

/** Tools that are billed by use. An item is seen when it is done, and again in the whole: its id counts once. */
function takeItem(found: Found, item: unknown): void {
  if (!isObject(item)) return
  const id = textAt(item, 'id', 256) ?? ''
  switch (item['type']) {
    case 'web_search_call': {
      // Opening a page and finding in it are not billed.
      const action = objectAt(item, 'action')['type'] ?? 'search'
      if (action === 'search') takeTool(found, id, 'web-search')
      break
    }
    case 'file_search_call':
      takeTool(found, id, 'file-search')
      break
    case 'code_interpreter_call':
      takeTool(found, textAt(item, 'container_id', 256) ?? id, 'code-session')
      break
    case 'image_generation_call':
      takeTool(found, id, 'image')
      break
    default:
  }
}
