import { streamObject } from './client/index.js'

const $ = (id) => document.getElementById(id)
const make = (tag, text, kind) => {
  const made = document.createElement(tag)
  if (text !== undefined && text !== null) made.textContent = text
  if (kind) made.className = kind
  return made
}

let running
let began

// -- the trip, as far as it has come ---------------------------------------------------------------------------------

/** The last text that has begun is the one that is being written. */
function show(trip, { final = false } = {}) {
  const article = $('trip')
  const parts = []
  if (trip.title) parts.push(make('h2', trip.title))
  const facts = [trip.city, trip.budget !== null && trip.budget !== undefined && `${trip.budget} euros`].filter(Boolean)
  if (facts.length) parts.push(make('p', facts.join(' · '), 'meta'))
  for (const day of trip.days ?? []) {
    const section = make('section', undefined, 'day')
    section.append(make('h3', `Day ${day.number ?? ''}${day.theme ? `: ${day.theme}` : ''}`))
    for (const stop of day.stops ?? []) {
      const row = make('div', undefined, 'stop')
      const euros = stop.euros === null || stop.euros === undefined ? '' : stop.euros === 0 ? 'free' : `${stop.euros} €`
      row.append(make('span', stop.time ?? '', 'time'), make('span', stop.place ?? ''), make('span', euros, 'euros'))
      if (stop.note) row.append(make('span', stop.note, 'note'))
      section.append(row)
    }
    parts.push(section)
  }
  if (trip.packing?.length) parts.push(make('p', `Take along: ${trip.packing.join(', ')}`))
  if (trip.advice) parts.push(make('p', trip.advice))
  if (final) parts.push(make('p', '✓ Validated: the days are in order, and the stops keep to the budget.', 'seal'))
  article.replaceChildren(...parts)
  article.hidden = parts.length === 0
  article.classList.remove('void')
  if (!final) {
    const texts = [...article.querySelectorAll('h2, h3, p, span')].filter(({ textContent }) => textContent)
    texts.at(-1)?.classList.add('writing')
  }
}

// -- what a screen reader is told: no more than once in two seconds ---------------------------------------------------

let announcedAt = 0
function announce(said, { now = false } = {}) {
  if (!now && Date.now() - announcedAt < 2000) return
  announcedAt = Date.now()
  $('announced').textContent = said
}

// -- a run -----------------------------------------------------------------------------------------------------------

const remembered = {
  get: () => JSON.parse(sessionStorage.getItem('run') ?? 'null'),
  set: (run) => sessionStorage.setItem('run', JSON.stringify(run)),
  clear: () => sessionStorage.removeItem('run'),
}

function begin(url, options) {
  running?.abort()
  began = performance.now()
  $('problem').hidden = true
  $('thoughts').hidden = true
  $('thoughts').lastElementChild.textContent = ''
  $('go').disabled = true
  $('stop').disabled = false
  $('trip').setAttribute('aria-busy', 'true')
  state('Asking …')
  const stream = streamObject(url, {
    ...options,
    resume: (run) => `runs/${run}`,
    onReasoning: (text) => {
      $('thoughts').hidden = false
      $('thoughts').lastElementChild.textContent += text
      state('Thinking …')
    },
    onPartial: (trip) => {
      if (stream.run) remembered.set(stream.run)
      show(trip)
      state(`Writing … ${seconds()}`)
      announce(trip.days?.length ? `Writing day ${trip.days.length}` : 'Writing')
    },
    onRestart: ({ reason }) => {
      $('trip').classList.add('void')
      state(reason === 'fallback' ? 'Another model begins anew …' : 'It begins anew …')
    },
  })
  running = stream
  stream.then(
    (trip) => { show(trip, { final: true }); state(`Done in ${seconds()}`); announce('The trip is ready', { now: true }) },
    (error) => {
      if (running !== stream) return
      if (error?.name === 'AbortError') return state('Cancelled')
      $('problem').textContent = `${sentence(error)}${error?.retryable ? ' Trying again may help.' : ''}`
      $('problem').hidden = false
      state('')
    },
  ).finally(() => {
    if (running !== stream) return
    running = undefined
    remembered.clear()
    $('go').disabled = false
    $('stop').disabled = true
    $('trip').setAttribute('aria-busy', 'false')
    for (const writing of document.querySelectorAll('.writing')) writing.classList.remove('writing')
  })
}

const sentence = (error) => {
  const said = error?.message ?? 'Something went wrong'
  return `${said[0].toUpperCase()}${said.slice(1)}.`
}
const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`
const state = (said) => { $('status').textContent = said }

$('form').addEventListener('submit', (event) => {
  event.preventDefault()
  begin('plan', { body: { wish: $('wish').value } })
})
$('stop').addEventListener('click', async () => {
  const { run } = running ?? {}
  running?.abort()
  if (run) await fetch(`runs/${run}`, { method: 'DELETE' })
})

const before = remembered.get()
if (before) begin(`runs/${before}`, {})
if (new URLSearchParams(location.search).has('go')) $('form').requestSubmit()
