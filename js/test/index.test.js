import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { ConnectionLost, streamObject, StreamError } from '../src/index.js'

const event = (name, data, id) => `event: ${name}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`
const ANSWER =
  ': ping\n\n' + event('partial', { title: 'ä' }, 1) + event('item', { path: [0], item: 7 }, 2) +
  event('partial', { title: 'äö🙂' }, 3) + event('final', { title: 'äö🙂', n: 1 }, 4)

/** A server for one test: each request is answered by the next of these functions. */
async function serving(t, ...answers) {
  const asked = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    asked.push({ method: request.method, url: request.url, headers: request.headers, body })
    await answers[Math.min(asked.length, answers.length) - 1](response, request)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => { server.closeAllConnections(); server.close() })
  return { url: `http://127.0.0.1:${server.address().port}/`, asked }
}

const whole = (text, headers = {}) => (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', ...headers })
  response.end(text)
}

test('partials, items and the final, however the bytes are cut', async (t) => {
  const bytes = Buffer.from(ANSWER)
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const { url, asked } = await serving(t, async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size))
      response.end()
    })
    const partials = []
    const items = []
    const stream = streamObject(url, { body: { a: 1 }, onPartial: (one) => partials.push(one), onItem: (one) => items.push(one) })
    assert.deepEqual(await stream, { title: 'äö🙂', n: 1 })
    assert.deepEqual(partials, [{ title: 'ä' }, { title: 'äö🙂' }])
    assert.deepEqual(items, [7])
    assert.equal(asked[0].method, 'POST')
    assert.equal(asked[0].body, '{"a":1}')
  }
})

test('line ends of every kind', async (t) => {
  for (const end of ['\r\n', '\r', '\n']) {
    const { url } = await serving(t, whole(ANSWER.replaceAll('\n', end)))
    assert.equal((await streamObject(url)).n, 1)
  }
})

test('a loop gives partials and last the final', async (t) => {
  const { url } = await serving(t, whole(ANSWER))
  const seen = []
  for await (const one of streamObject(url)) seen.push(one)
  assert.deepEqual(seen.at(-1), { title: 'äö🙂', n: 1 })
})

test('leaving the loop leaves the stream', async (t) => {
  let left
  const gone = new Promise((done) => { left = done })
  const { url } = await serving(t, (response, request) => {
    request.socket.on('close', left)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event('partial', { title: 'a' }, 1))
  })
  for await (const one of streamObject(url)) { assert.equal(one.title, 'a'); break }
  await gone
})

test('an abort of the caller', async (t) => {
  const { url } = await serving(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event('partial', { title: 'a' }, 1))
  })
  const aborter = new AbortController()
  const told = []
  const stream = streamObject(url, { signal: aborter.signal, onPartial: () => aborter.abort(), onError: (e) => told.push(e) })
  await assert.rejects(async () => stream, { name: 'AbortError' })
  assert.deepEqual(told, [])
})

test('an error before the first event has its status', async (t) => {
  const { url } = await serving(t, (response) => {
    response.writeHead(429, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ type: 'provider_error', message: 'too many', retryable: true, status: 429 }))
  })
  const told = []
  await assert.rejects(async () => streamObject(url, { onError: (error) => told.push(error) }), (error) => {
    assert.ok(error instanceof StreamError)
    assert.deepEqual([error.status, error.type, error.retryable, error.message], [429, 'provider_error', true, 'too many'])
    return true
  })
  assert.equal(told.length, 1)
})

test('a later error has what had come', async (t) => {
  const problem = { type: 'output_truncated', message: 'cut off', attempt: 2, retryable: false, partial: { title: 'a' } }
  const { url } = await serving(t, whole(event('partial', { title: 'a' }, 1) + event('error', problem, 2)))
  await assert.rejects(async () => streamObject(url), { type: 'output_truncated', attempt: 2, partial: { title: 'a' } })
})

test('a restart voids what was shown', async (t) => {
  const restart = { reason: 'reask', attempt: 2, from_model: null, to_model: null }
  const { url } = await serving(t, whole(event('partial', { title: 'a' }, 1) + event('restart', restart, 2) + event('final', { title: 'b' }, 3)))
  const seen = []
  const stream = streamObject(url, { onRestart: (one) => seen.push(one) })
  await stream
  assert.deepEqual(seen, [restart])
  assert.equal(stream.attempt, 2)
})

test('a connection that breaks is taken up again', async (t) => {
  const { url, asked } = await serving(
    t,
    (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'instructor-stream-run': 'r1' })
      response.write(event('partial', { title: 'a' }, '7-0'))
      setTimeout(() => response.destroy(), 20)
    },
    whole(event('final', { title: 'ab' }, '8-0')),
  )
  const stream = streamObject(url, { body: {}, resume: (run) => `${url}runs/${run}`, delay: 1 })
  assert.deepEqual(await stream, { title: 'ab' })
  assert.equal(asked[1].method, 'GET')
  assert.equal(asked[1].url, '/runs/r1')
  assert.equal(asked[1].headers['last-event-id'], '7-0')
})

test('one that cannot be taken up ends with what had come', async (t) => {
  const { url } = await serving(t, whole(event('partial', { title: 'a' }, 1)))
  await assert.rejects(async () => streamObject(url), (error) => {
    assert.ok(error instanceof ConnectionLost)
    assert.deepEqual(error.partial, { title: 'a' })
    return true
  })
  const { url: other, asked } = await serving(t, whole(event('partial', { title: 'a' }, 1)), (response) => response.destroy())
  await assert.rejects(async () => streamObject(other, { resume: true, retries: 2, delay: 1 }), ConnectionLost)
  assert.equal(asked.length, 3)
})
