// One library of Node's, one stream, one process; the same as benchmarks/peer.py.
//   node js/bench/peer.mjs NAME PORT SIZE CHUNK REPS SECONDS PACED
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { Output, streamText } from 'ai'
import OpenAI from 'openai'
import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

const [, , name, port, size, chunk, reps, seconds, paced] = process.argv
const schema = z.object({
  title: z.string(),
  entries: z.array(z.object({ name: z.string(), price: z.number(), tags: z.array(z.string()), note: z.string() })),
})

const PEERS = {
  async floor(url, on) {
    const client = new OpenAI({ apiKey: 'x', baseURL: url, maxRetries: 0 })
    const messages = [{ role: 'user', content: 'go' }]
    let text = ''
    for await (const part of await client.chat.completions.create({ model: 'm', messages, stream: true })) {
      const piece = part.choices[0]?.delta?.content
      if (piece) {
        text += piece
        on(null)
      }
    }
    return schema.parse(JSON.parse(text))
  },
  async 'Vercel AI SDK'(url, on) {
    const provider = createOpenAICompatible({ name: 'local', baseURL: url, apiKey: 'x', supportsStructuredOutputs: true })
    const result = streamText({ model: provider('m'), output: Output.object({ schema }), prompt: 'go' })
    for await (const partial of result.partialOutputStream) on(partial)
    return await result.output
  },
}

const seconds_of = () => Number(process.hrtime.bigint()) / 1e9
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0)
const forgetPeak = () => {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {}
}
const measured = async (run, url, on) => {
  const before = process.cpuUsage()
  await run(url, on)
  const took = process.cpuUsage(before)
  return (took.user + took.system) / 1e6
}
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

if (process.env.DAMAGE) {
  let outcome
  try {
    const last = await PEERS[name](`http://127.0.0.1:${port}/list-${size}-${chunk}-${process.env.DAMAGE}`, () => {})
    outcome = `a final with ${last.entries?.length ?? 0} entries`
  } catch (error) {
    outcome = '`' + error.name + '`'
  }
  console.log(JSON.stringify({ outcome }))
  process.exit(0)
}
const base = `http://127.0.0.1:${port}/list`
const url = `${base}-${size}-${chunk}`
const run = PEERS[name]
for (let turn = 0; turn < 8; turn += 1) {
  await run(`${base}-4096-${chunk}`, () => {})
  await PEERS.floor(`${base}-4096-${chunk}`, () => {})
}
let partials = 0
let first = 0
const on = (partial) => {
  partials += 1
  if (partial !== null && !first) first = seconds_of()
}
if (Number(paced)) {
  const began = seconds_of()
  await run(`${url}-paced-${paced}`, on)
  console.log(JSON.stringify({ first: first - began, all: seconds_of() - began, partials }))
} else {
  const ratios = []
  const held = []
  const until = seconds_of() + Number(seconds)
  let before = await measured(PEERS.floor, url, () => {})
  for (let turn = 0; turn < Number(reps) && seconds_of() < until; turn += 1) {
    forgetPeak()
    const low = peak()
    partials = 0
    const took = await measured(run, url, on)
    held.push(peak() - low)
    const after = await measured(PEERS.floor, url, () => {})
    ratios.push((took * 2) / (before + after))
    before = after
  }
  console.log(JSON.stringify({ ratio: median(ratios), partials, kilobytes: Math.max(...held), reps: ratios.length }))
}
