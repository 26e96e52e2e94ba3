import { streamObject, StreamError, type DeepPartial } from '../src/index.js'
import { useInstructorStream } from '../src/react.js'

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

function component(): void {
  const { object, run, state, follow } = useInstructorStream<Idea>({ api: '/idea', onPartial: ({ tags }) => { void tags?.[0]?.name } })
  const title: string | null | undefined = object?.title
  const name: string | undefined = run
  const final: Promise<Idea | undefined> = follow(`/runs/${name}`)
  // @ts-expect-error there is no such state
  const isOver = state === 'over'
  void [title, final, isOver]
}
void [typed, component]
