import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'

import '../static/style.css'
import { IdeaStream } from './IdeaStream.jsx'
import { TripPlanner } from './TripPlanner.jsx'

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <main>
      <header>
        <p className="over">instructor_stream_ext · React</p>
        <h1>Three days, planned before your eyes</h1>
        <p className="lead">Each field is shown as soon as the model writes it. Only the whole trip is validated.</p>
      </header>
      <TripPlanner />
      <IdeaStream topic="Lisbon" />
    </main>
  </StrictMode>,
)
