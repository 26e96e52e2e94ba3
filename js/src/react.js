import { useCallback, useEffect, useRef, useState } from 'react'

import { streamObject } from './index.js'

const NOTHING = { object: undefined, state: 'idle', error: undefined }

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

  const start = useCallback(
    async (body) => {
      running.current?.abort()
      const given = settings.current
      const isMine = () => running.current === stream
      const stream = streamObject(api, {
        ...given,
        body,
        onPartial: (object) => {
          if (!isMine()) return
          setShown({ object, state: 'streaming', error: undefined })
          given.onPartial?.(object)
        },
        onRestart: (restart) => {
          if (!isMine()) return
          setShown({ object: undefined, state: 'streaming', error: undefined })
          given.onRestart?.(restart)
        },
      })
      running.current = stream
      setShown({ object: undefined, state: 'streaming', error: undefined })
      try {
        const object = await stream
        if (isMine()) setShown({ object, state: 'final', error: undefined })
        return object
      } catch (error) {
        if (isMine()) setShown((before) => ({ ...before, state: 'failed', error }))
        return undefined
      }
    },
    [api],
  )

  useEffect(() => () => running.current?.abort(), [])

  return { ...shown, isStreaming: shown.state === 'streaming', start, stop }
}
