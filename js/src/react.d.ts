import type { DeepPartial, StreamOptions } from './index.js'

export interface InstructorStream<T> {
  /** The newest partial; the final once `state` is "final". */
  object: DeepPartial<T> | T | undefined
  /** The name of the run, if the server has runs: `resume` and `follow` go on with it, also after a reload. */
  run: string | undefined
  state: 'idle' | 'streaming' | 'final' | 'failed' | 'stopped'
  isStreaming: boolean
  error: unknown
  /** Begin, leaving what ran before; resolves to the final, or to nothing if it failed or was left. */
  start: (body?: unknown) => Promise<T | undefined>
  /** Read a run that is under way, or kept, from its beginning. */
  follow: (url: string) => Promise<T | undefined>
  /** Leave the stream. */
  stop: () => void
}

export interface HookOptions<T> extends Omit<StreamOptions<T>, 'body' | 'signal'> {
  /** The address of the endpoint. */
  api: string
}

/** A stream as a component's state; it is left when the component goes. */
export function useInstructorStream<T>(options: HookOptions<T>): InstructorStream<T>
