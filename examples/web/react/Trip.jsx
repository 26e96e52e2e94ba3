/** A trip as far as it has come; the text that came last is the one that is being written. */
export function Trip({ trip, isFinal, isStreaming }) {
  const facts = [trip.city, trip.budget == null ? undefined : `${trip.budget} euros`].filter(Boolean)
  return (
    <article id="trip" aria-busy={isStreaming} className={isStreaming ? 'open' : undefined}>
      {trip.title && <h2>{trip.title}</h2>}
      {facts.length > 0 && <p className="meta">{facts.join(' · ')}</p>}
      {trip.days?.map((day, at) => <Day key={at} day={day} />)}
      {trip.packing?.length > 0 && <p>Take along: {trip.packing.join(', ')}</p>}
      {trip.advice && <p>{trip.advice}</p>}
      {isFinal && <p className="seal">✓ Validated: the days are in order, and the stops keep to the budget.</p>}
    </article>
  )
}

function Day({ day }) {
  return (
    <section className="day">
      <h3>Day {day.number ?? ''}{day.theme ? `: ${day.theme}` : ''}</h3>
      {day.stops?.map((stop, at) => (
        <div className="stop" key={at}>
          <span className="time">{stop.time ?? ''}</span>
          <span>{stop.place ?? ''}</span>
          <span className="euros">{stop.euros == null ? '' : stop.euros === 0 ? 'free' : `${stop.euros} €`}</span>
          {stop.note && <span className="note">{stop.note}</span>}
        </div>
      ))}
    </section>
  )
}
