// Server-sent events out of bytes, however they are cut. Source: HTML standard, 9.2.6 (parsing an event stream).

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{ event: string, id: string | undefined, data: string }>}
 */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let event = ''
  let id
  let data = []
  try {
    while (true) {
      const { value = '', done } = await reader.read()
      rest += value
      // a CR at the end may be the first half of a CRLF
      const whole = rest.endsWith('\r') && !done ? rest.slice(0, -1) : rest
      const lines = whole.split(/\r\n|\n|\r/)
      rest = lines.pop() + rest.slice(whole.length)
      for (const line of lines) {
        if (line === '') {
          if (data.length) yield { event: event || 'message', id, data: data.join('\n') }
          event = ''
          data = []
          continue
        }
        const colon = line.indexOf(':')
        if (colon === 0) continue
        const name = colon < 0 ? line : line.slice(0, colon)
        const said = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
        if (name === 'data') data.push(said)
        else if (name === 'event') event = said
        else if (name === 'id' && !said.includes('\0')) id = said
      }
      if (done) return // what has not ended with an empty line is not dispatched
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
