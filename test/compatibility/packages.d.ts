/**
 * The clients of others are installed apart (package.json beside this file), and types are checked without them: what
 * these modules export is `any` here. Their real behaviour is what the tests look at.
 */
declare module '@ai-sdk/anthropic'
declare module '@ai-sdk/google'
declare module '@ai-sdk/openai'
declare module '@ai-sdk/openai-compatible'
declare module '@ai-sdk/xai'
declare module '@anthropic-ai/sdk'
declare module '@google/genai'
declare module '@langchain/anthropic'
declare module '@langchain/core/messages'
declare module '@langchain/core/tools'
declare module '@langchain/google-genai'
declare module '@langchain/openai'
declare module '@openrouter/ai-sdk-provider'
declare module '@openrouter/sdk'
declare module 'ai'
declare module 'zod'
