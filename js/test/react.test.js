import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { JSDOM } from 'jsdom'

const dom = new JSDOM('<div id="root"></div>')
globalThis.window = dom.window
globalThis.document = dom.window.document
globalThis.navigator ??= dom.window.navigator
globalThis.IS_REACT_ACT_ENVIRONMENT = true

const { act, createElement, version } = await import('react')
const { createRoot } = await import('react-dom/client')
const { useInstructorStream } = await import('../src/react.js')

const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

async function serving(t, answer) {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    answer(response, request)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${server.address().port}/`
}

/** A component that uses the hook; what it was at each rendering. */
async function mounted(api) {
  const seen = []
  const root = createRoot(document.getElementById('root'))
  const Component = () => { seen.push(useInstructorStream({ api })); return null }
  await act(async () => root.render(createElement(Component)))
  return { seen, unmount: () => act(async () => root.unmount()) }
}

test('this is the React that was asked for', () => {
  assert.equal(version.split('.')[0], process.env.REACT ?? '19')
})

test('the states of a stream', async (t) => {
  const api = await serving(t, (response) => response.end(event('partial', { a: 1 }) + event('final', { a: 1, b: 2 })))
  const { seen, unmount } = await mounted(api)
  assert.equal(seen.at(-1).state, 'idle')
  let final
  await act(async () => { final = await seen.at(-1).start({}) })
  assert.deepEqual(final, { a: 1, b: 2 })
  assert.equal(seen.at(-1).state, 'final')
  assert.equal(seen.at(-1).isStreaming, false)
  await unmount()
})

test('an error', async (t) => {
  const api = await serving(t, (response) => response.end(event('partial', { a: 1 }) + event('error', { type: 'no_output', message: 'nothing came' })))
  const { seen, unmount } = await mounted(api)
  await act(async () => { await seen.at(-1).start({}) })
  assert.equal(seen.at(-1).state, 'failed')
  assert.equal(seen.at(-1).error.message, 'nothing came')
  assert.deepEqual(seen.at(-1).object, { a: 1 })
  await unmount()
})

for (const way of ['stop', 'unmount']) {
  test(`${way} leaves the stream`, async (t) => {
    let left
    const gone = new Promise((done) => { left = done })
    const api = await serving(t, (response, request) => {
      request.socket.on('close', left)
      response.write(event('partial', { a: 1 }))
    })
    const { seen, unmount } = await mounted(api)
    let running
    await act(async () => { running = seen.at(-1).start({}); await new Promise((done) => setTimeout(done, 100)) })
    assert.deepEqual([seen.at(-1).state, seen.at(-1).isStreaming, seen.at(-1).object], ['streaming', true, { a: 1 }])
    if (way === 'stop') {
      await act(async () => { seen.at(-1).stop(); await running })
      assert.equal(seen.at(-1).state, 'stopped')
    }
    await unmount()
    await gone
  })
}

test('a run is followed from its beginning, and its name is known', async (t) => {
  const asked = []
  const server = createServer((request, response) => {
    asked.push([request.method, request.url])
    response.writeHead(200, { 'content-type': 'text/event-stream', 'instructor-stream-run': 'r1' })
    response.end(event('partial', { a: 1 }) + event('final', { a: 2 }))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => { server.closeAllConnections(); server.close() })
  const root = `http://127.0.0.1:${server.address().port}`
  const { seen, unmount } = await mounted(`${root}/plan`)
  assert.equal(seen.at(-1).run, undefined)
  await act(async () => { await seen.at(-1).start({}) })
  assert.equal(seen.at(-1).run, 'r1')
  let final
  await act(async () => { final = await seen.at(-1).follow(`${root}/runs/${seen.at(-1).run}`) })
  assert.deepEqual(final, { a: 2 })
  assert.deepEqual([seen.at(-1).state, seen.at(-1).object, seen.at(-1).run], ['final', { a: 2 }, 'r1'])
  assert.deepEqual(asked, [['POST', '/plan'], ['GET', '/runs/r1']])
  await unmount()
})
