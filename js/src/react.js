import { useCallback, useEffect, useRef, useState } from 'react'

import { streamObject } from './index.js'

const NOTHING = { object: undefined, run: undefined, state: 'idle', error: undefined }

/** A stream as a component's state; it is left when the component goes. */
export function useInstructorStream({ api, ...options }) {
  const [shown, setShown] = useState(NOTHING)
  const running = useRef(undefined)
  const settings = useRef(options)
  settings.current = options

  const stop = useCallback(() => {
    running.current?.abort()
    running.current = undefined
    setShown((before) => (before.state === 'streaming' ? { ...before, state: 'stopped' } : before))
  }, [])

  const begin = useCallback(async (url, body) => {
    running.current?.abort()
    const given = settings.current
    const isMine = () => running.current === stream
    const show = (object) => setShown({ object, run: stream.run, state: 'streaming', error: undefined })
    const stream = streamObject(url, {
      ...given,
      body,
      onPartial: (object) => {
        if (!isMine()) return
        show(object)
        given.onPartial?.(object)
      },
      onRestart: (restart) => {
        if (!isMine()) return
        show(undefined)
        given.onRestart?.(restart)
      },
    })
    running.current = stream
    show(undefined)
    try {
      const object = await stream
      if (isMine()) setShown({ object, run: stream.run, state: 'final', error: undefined })
      return object
    } catch (error) {
      if (isMine()) setShown((before) => ({ ...before, state: 'failed', error }))
      return undefined
    }
  }, [])
  const start = useCallback((body) => begin(api, body), [begin, api])
  const follow = useCallback((url) => begin(url, undefined), [begin])

  useEffect(() => () => running.current?.abort(), [])

  return { ...shown, isStreaming: shown.state === 'streaming', start, follow, stop }
}
