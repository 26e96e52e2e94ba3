import { useEffect, useRef, useState } from 'react'

const PAUSE = 2000 // milliseconds: a screen reader must not be flooded

/** What a screen reader is told: the newest of what is said, no more than once in two seconds. */
export function useAnnouncement(said, { now = false } = {}) {
  const [announced, setAnnounced] = useState('')
  const at = useRef(-Infinity)

  useEffect(() => {
    const wait = now ? 0 : Math.max(0, at.current + PAUSE - performance.now())
    const timer = setTimeout(() => { at.current = performance.now(); setAnnounced(said) }, wait)
    return () => clearTimeout(timer)
  }, [said, now])

  return announced
}
