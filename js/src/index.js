import { eventsOf } from './sse.js'

/** What a stream ended with, as the server told it. */
export class StreamError extends Error {
  constructor(problem, status) {
    super(problem.message ?? problem.detail ?? 'the stream failed')
    this.name = 'StreamError'
    this.type = problem.type ?? 'unknown'
    this.attempt = problem.attempt ?? 1
    this.retryable = problem.retryable ?? false
    this.partial = problem.partial ?? null
    this.status = status
  }
}

/** The connection ended before the final came, and there was no way to go on. */
export class ConnectionLost extends StreamError {
  constructor(partial) {
    super({ type: 'connection_lost', message: 'the connection ended before the answer was whole', retryable: true, partial })
    this.name = 'ConnectionLost'
  }
}

const RUN = 'instructor-stream-run'

/**
 * Read a stream: await it for the final, or loop over it for the partials.
 *
 * The request is sent at once. With `resume`, a connection that breaks is taken up again behind the last event.
 */
export function streamObject(url, options = {}) {
  return new ObjectStream(url, options)
}

class ObjectStream {
  #final
  #waiting = []
  #wake = () => {}
  #over = false
  #aborter = new AbortController()

  constructor(url, options) {
    this.object = undefined
    this.attempt = 1
    this.run = undefined
    const { signal } = options
    if (signal?.aborted) this.#aborter.abort(signal.reason)
    signal?.addEventListener('abort', () => this.#aborter.abort(signal.reason), { once: true })
    this.#final = this.#read(url, options).finally(() => {
      this.#over = true
      this.#wake()
    })
    this.#final.catch(() => {}) // who only loops is told by the loop
  }

  /** Leave the stream; the server cancels the model call. */
  abort(reason) {
    this.#aborter.abort(reason)
  }

  then(done, failed) {
    return this.#final.then(done, failed)
  }

  catch(failed) {
    return this.#final.catch(failed)
  }

  finally(always) {
    return this.#final.finally(always)
  }

  /** The partials, the newest where several came since the last step, and last the final. */
  async *[Symbol.asyncIterator]() {
    try {
      while (true) {
        while (this.#waiting.length) yield this.#waiting.shift()
        if (this.#over) break
        await new Promise((wake) => { this.#wake = wake })
      }
      await this.#final
    } finally {
      if (!this.#over) this.abort()
    }
  }

  #show(object) {
    this.object = object
    this.#waiting = [object]
    this.#wake()
  }

  async #read(url, options) {
    const { onError, resume, retries = 5, delay = 500 } = options
    let last
    let failures = 0
    try {
      while (true) {
        const again = last !== undefined
        const answer = await this.#ask(again ? this.#resumed(resume, url) : url, options, last)
        if (answer?.status === 204) throw new ConnectionLost(this.object)
        if (answer) {
          this.run = answer.headers.get(RUN) ?? this.run
          const before = last
          const ended = await this.#follow(answer, options, (id) => { last = id ?? last })
          if (ended) return ended.final
          if (last !== before) failures = 0
        }
        if (!resume || last === undefined || ++failures > retries) throw new ConnectionLost(this.object)
        await pause(delay * 2 ** (failures - 1), this.#aborter.signal)
      }
    } catch (error) {
      if (!this.#aborter.signal.aborted) onError?.(error)
      throw error
    }
  }

  #resumed(resume, url) {
    return typeof resume === 'function' ? resume(this.run) : typeof resume === 'string' ? resume : url
  }

  /** The response, or nothing if the connection failed and may be tried again. */
  async #ask(url, { body, headers, method, fetch = globalThis.fetch, credentials }, last) {
    const again = last !== undefined
    const sent = again ? undefined : body
    let answer
    try {
      answer = await fetch(url, {
        method: again ? 'GET' : (method ?? (body === undefined ? 'GET' : 'POST')),
        body: sent === undefined || typeof sent === 'string' ? sent : JSON.stringify(sent),
        headers: {
          accept: 'text/event-stream',
          ...(sent === undefined || typeof sent === 'string' ? {} : { 'content-type': 'application/json' }),
          ...headers,
          ...(again ? { 'last-event-id': last } : {}),
        },
        credentials,
        signal: this.#aborter.signal,
      })
    } catch (error) {
      if (this.#aborter.signal.aborted || !again) throw error
      return undefined
    }
    if (answer.ok) return answer
    const problem = await answer.json().catch(() => ({}))
    throw new StreamError({ message: `the server answered ${answer.status}`, ...problem }, answer.status)
  }

  /** Read one connection to its end: the final alone in an object, or nothing if it broke off before. */
  async #follow(answer, { onPartial, onItem, onFinal, onRestart, onReasoning }, note) {
    try {
      for await (const { event, id, data } of eventsOf(answer.body)) {
        const said = JSON.parse(data)
        if (event === 'partial') {
          this.#show(said)
          onPartial?.(said)
        } else if (event === 'item') {
          onItem?.(said.item, said.path)
        } else if (event === 'reasoning') {
          onReasoning?.(said)
        } else if (event === 'restart') {
          this.object = undefined
          this.attempt = said.attempt
          onRestart?.(said)
        } else if (event === 'error') {
          throw new StreamError(said)
        } else if (event === 'final') {
          this.#show(said)
          onFinal?.(said)
          return { final: said }
        }
        note(id)
      }
    } catch (error) {
      if (error instanceof StreamError || error instanceof SyntaxError || this.#aborter.signal.aborted) throw error
      if (error?.name !== 'TypeError' && error?.name !== 'Error') throw error
    }
    return undefined
  }
}

function pause(milliseconds, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, milliseconds)
    signal.addEventListener('abort', () => { clearTimeout(timer); failed(signal.reason) }, { once: true })
  })
}
