/** A partial: every field may still be missing, or null. */
export type DeepPartial<T> = T extends (infer Item)[]
  ? DeepPartial<Item>[]
  : T extends object
    ? { [Key in keyof T]?: DeepPartial<T[Key]> | null }
    : T

export interface Restart {
  reason: 'reask' | 'fallback' | 'draft'
  attempt: number
  from_model: string | null
  to_model: string | null
}

export interface StreamOptions<T, Item = unknown> {
  /** Sent as JSON unless it is a string; a body makes the request a POST. */
  body?: unknown
  method?: string
  headers?: Record<string, string>
  credentials?: RequestCredentials
  signal?: AbortSignal
  fetch?: typeof fetch
  /**
   * Take a connection that broke up again behind the last event: at the same address, at this one, or at the one that
   * this function makes of the run's name.
   */
  resume?: boolean | string | ((run: string | undefined) => string)
  /** Attempts to take it up again in a row (5). */
  retries?: number
  /** Milliseconds before the first of them, doubled for each further one (500). */
  delay?: number
  onPartial?: (partial: DeepPartial<T>) => void
  onItem?: (item: Item, path: (string | number)[]) => void
  onReasoning?: (text: string) => void
  onRestart?: (restart: Restart) => void
  onFinal?: (final: T) => void
  onError?: (error: unknown) => void
}

export interface ObjectStream<T> extends Promise<T>, AsyncIterable<DeepPartial<T> | T> {
  /** The newest partial; the final in the end. */
  readonly object: DeepPartial<T> | T | undefined
  readonly attempt: number
  /** The run's name, where the server gave one. */
  readonly run: string | undefined
  /** Leave the stream; the server cancels the model call. */
  abort(reason?: unknown): void
}

/** Read a stream: await it for the final, or loop over it for the partials. The request is sent at once. */
export function streamObject<T, Item = unknown>(url: string | URL, options?: StreamOptions<T, Item>): ObjectStream<T>

/** What a stream ended with, as the server told it. */
export class StreamError extends Error {
  readonly type: string
  readonly attempt: number
  readonly retryable: boolean
  readonly partial: unknown
  /** The HTTP status, where the error came before the first event. */
  readonly status: number | undefined
}

/** The connection ended before the final came, and there was no way to go on. */
export class ConnectionLost extends StreamError {}
