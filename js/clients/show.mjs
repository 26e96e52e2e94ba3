// Reads a stream through a protocol's real client and prints each object that it shows, as a line of JSON.
//   node show.mjs PROTOCOL URL

const [protocol, url] = process.argv.slice(2)

const show = (object) => console.log(JSON.stringify({ object }))
const think = (reasoning) => console.log(JSON.stringify({ reasoning }))
const fail = (error) => console.log(JSON.stringify({ error: String(error?.message ?? error) }))

const shows = {
  async sse() {
    const { EventSource } = await import('eventsource')
    const source = new EventSource(url)
    await new Promise((done) => {
      const end = () => { source.close(); done() }
      source.addEventListener('partial', (event) => show(JSON.parse(event.data)))
      source.addEventListener('reasoning', (event) => think(JSON.parse(event.data)))
      source.addEventListener('final', (event) => { show(JSON.parse(event.data)); end() })
      source.addEventListener('error', (event) => { if (event.data) { fail(JSON.parse(event.data).message); end() } })
    })
  },

  async 'ai-sdk-object'() {
    // What useObject does with a response: all of the text so far is parsed after each chunk.
    const { parsePartialJson } = await import('ai')
    const answer = await fetch(url, { method: 'POST', body: '{}' })
    let text = ''
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      text += piece
      const { value } = await parsePartialJson(text)
      if (value !== undefined) show(value)
    }
  },

  async 'ai-sdk-ui'() {
    const { DefaultChatTransport, readUIMessageStream } = await import('ai')
    const transport = new DefaultChatTransport({ api: url })
    const stream = await transport.sendMessages({ chatId: 'c', messages: [], trigger: 'submit-message' })
    for await (const message of readUIMessageStream({ stream, onError: fail })) {
      const part = message.parts.find(({ type }) => type === 'data-object')
      const thought = message.parts.find(({ type }) => type === 'reasoning')
      if (thought) think(thought.text)
      if (part) show(part.data)
    }
  },

  async 'ag-ui'() {
    const { HttpAgent } = await import('@ag-ui/client')
    const agent = new HttpAgent({ url })
    await agent.runAgent({}, {
      onReasoningMessageEndEvent: ({ reasoningMessageBuffer }) => think(reasoningMessageBuffer),
      onStateChanged: ({ state }) => show(state),
      onRunErrorEvent: ({ event }) => fail(event.message),
    })
  },

  async copilotkit() {
    globalThis.window = globalThis // it connects only where there is a window
    const { CopilotKitCore } = await import('@copilotkit/core')
    const core = new CopilotKitCore({ runtimeUrl: url.replace(/\/$/, '') })
    while (!core.getAgent('trip')) await new Promise((done) => setTimeout(done, 10))
    const agent = core.getAgent('trip')
    agent.subscribe({
      onReasoningMessageEndEvent: ({ reasoningMessageBuffer }) => think(reasoningMessageBuffer),
      onStateChanged: ({ state }) => show(state),
      onRunErrorEvent: ({ event }) => fail(event.message),
    })
    await core.runAgent({ agent })
    process.exit(0) // it keeps timers
  },

  async tanstack() {
    const { ChatClient, fetchServerSentEvents } = await import('@tanstack/ai-client')
    const client = new ChatClient({
      connection: fetchServerSentEvents(url),
      onMessagesChange: (messages) => {
        const part = messages.at(-1)?.parts.find(({ type }) => type === 'structured-output')
        const thought = messages.at(-1)?.parts.find(({ type }) => type === 'thinking')
        if (thought) think(thought.content)
        const object = part?.data ?? part?.partial
        if (object !== undefined) show(object)
      },
      onError: fail,
    })
    await client.sendMessage('go')
  },

  async 'assistant-ui'() {
    const { AssistantTransportDecoder, AssistantMessageAccumulator, unstable_createInitialMessage } =
      await import('assistant-stream')
    const answer = await fetch(url, { method: 'POST', body: '{}' })
    const initial = unstable_createInitialMessage()
    const messages = answer.body
      .pipeThrough(new AssistantTransportDecoder())
      .pipeThrough(new AssistantMessageAccumulator({ initialMessage: initial, onError: fail }))
    let last
    for await (const message of messages) {
      last = message
      const thought = message.parts.find(({ type }) => type === 'reasoning')
      if (thought) think(thought.text)
      show(message.metadata.unstable_state)
    }
    if (last?.status?.reason === 'error') fail(last.status.error)
  },
}

await shows[protocol]().catch(fail)
