import { useEffect, useRef, useState } from 'react'

import { useInstructorStream } from 'instructor-stream/react'

import { Trip } from './Trip.jsx'
import { useAnnouncement } from './useAnnouncement.js'

const WISH = 'Plan three unhurried days in Lisbon for two friends on a budget of 150 euros.'
const RUN = 'react-run'

/** A form, and the trip that fills in; it can be cancelled, and goes on after a reload. */
export function TripPlanner() {
  const [wish, setWish] = useState(WISH)
  const [thoughts, setThoughts] = useState('')
  const [again, setAgain] = useState(undefined)
  const began = useRef(0)
  const { object, run, state, isStreaming, error, start, follow, stop } = useInstructorStream({
    api: '../plan',
    resume: (name) => `../runs/${name}`,
    onReasoning: (text) => setThoughts((before) => before + text),
    onPartial: () => setAgain(undefined),
    onRestart: ({ reason }) => setAgain(reason === 'fallback' ? 'Another model begins anew …' : 'It begins anew …'),
  })

  const begin = (go) => {
    began.current = performance.now()
    setThoughts('')
    setAgain(undefined)
    go()
  }
  const cancel = () => {
    stop()
    if (run) fetch(`../runs/${run}`, { method: 'DELETE' })
  }

  useEffect(() => {
    const before = sessionStorage.getItem(RUN)
    if (before) begin(() => follow(`../runs/${before}`))
  }, [follow])
  useEffect(() => {
    if (isStreaming && run) sessionStorage.setItem(RUN, run)
    if (['final', 'failed', 'stopped'].includes(state)) sessionStorage.removeItem(RUN)
  }, [state, isStreaming, run])

  const announced = useAnnouncement(
    { final: 'The trip is ready' }[state] ?? (object?.days?.length ? `Writing day ${object.days.length}` : ''),
    { now: state === 'final' },
  )
  const seconds = `${((performance.now() - began.current) / 1000).toFixed(1)} s`
  const status = {
    idle: '',
    streaming: again ?? (object ? `Writing … ${seconds}` : thoughts ? 'Thinking …' : 'Asking …'),
    final: `Done in ${seconds}`,
    stopped: 'Cancelled',
    failed: '',
  }[state]

  return (
    <>
      <form onSubmit={(event) => { event.preventDefault(); begin(() => start({ wish })) }}>
        <label htmlFor="wish">What would you like?</label>
        <textarea id="wish" rows={2} maxLength={400} required value={wish} onChange={({ target }) => setWish(target.value)} />
        <div className="row">
          <button className="go" id="go" disabled={isStreaming}>Plan it</button>
          <button type="button" id="stop" disabled={!isStreaming} onClick={cancel}>Cancel</button>
          <p id="status" role="status">{status}</p>
        </div>
      </form>
      {state === 'failed' && <p id="problem" role="alert">{sentence(error)}</p>}
      {thoughts && <details id="thoughts"><summary>What it thinks</summary><p>{thoughts}</p></details>}
      {object && <Trip trip={object} isFinal={state === 'final'} isStreaming={isStreaming} />}
      <p id="announced" className="hidden" aria-live="polite">{announced}</p>
    </>
  )
}

function sentence(error) {
  const said = error?.message ?? 'something went wrong'
  return `${said[0].toUpperCase()}${said.slice(1)}.${error?.retryable ? ' Trying again may help.' : ''}`
}
