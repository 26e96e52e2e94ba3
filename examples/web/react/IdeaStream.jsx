import { useEffect, useState } from 'react'

/**
 * The component that most tutorials begin with: an EventSource over an endpoint that formats its events by hand.
 *
 * It knows neither a failure nor a restart, and cannot go on after a reload; `TripPlanner` can.
 */
export function IdeaStream({ topic }) {
  const [asked, setAsked] = useState(0)
  const [ideas, setIdeas] = useState([])
  const [state, setState] = useState('idle')

  useEffect(() => {
    if (!asked) return undefined
    setIdeas([])
    setState('streaming')
    const source = new EventSource(`../ideas?topic=${encodeURIComponent(topic)}`)
    const end = (how) => { source.close(); setState(how) }
    source.onmessage = ({ data }) => setIdeas(JSON.parse(data).days ?? [])
    source.addEventListener('done', () => end('done'))
    source.onerror = () => end('broken')
    return () => source.close()
  }, [topic, asked])

  return (
    <section id="ideas" aria-busy={state === 'streaming'}>
      <div className="row">
        <h2>Ideas for {topic}</h2>
        <button type="button" id="ideas-go" disabled={state === 'streaming'} onClick={() => setAsked(asked + 1)}>
          Ask for ideas
        </button>
      </div>
      <ol>{ideas.map(({ theme }, at) => theme && <li key={at}>{theme}</li>)}</ol>
      <p role="status">{{ done: `${ideas.length} ideas`, broken: 'The ideas broke off.' }[state]}</p>
    </section>
  )
}
