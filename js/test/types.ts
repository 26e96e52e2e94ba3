import { streamObject, StreamError, type DeepPartial } from '../src/index.js'

interface Idea { title: string; tags: { name: string }[] }

async function typed(): Promise<void> {
  const stream = streamObject<Idea>('/idea', { body: {}, onPartial: (partial) => { const title: string | null | undefined = partial.title; void title } })
  for await (const partial of stream) { const object: DeepPartial<Idea> | Idea = partial; void object }
  const final: Idea = await stream
  void final
  // @ts-expect-error a title is text
  const wrong: number = (await stream).title
  void wrong
  try { await stream } catch (error) { if (error instanceof StreamError) { const retry: boolean = error.retryable; void retry } }
}
void typed
