// The example's page in a real browser: node e2e/trip.mjs WHAT URL [FOLDER]; prints what it saw as JSON.

import { violations, withPage } from './browser.mjs'

const [what, url, folder] = process.argv.slice(2)
const text = (page, selector) => page.locator(selector).innerText()
const done = (page) => page.waitForSelector('.seal', { timeout: 60_000 })

const cases = {
  /** It fills in before the end, and the end is marked. */
  fills: () => withPage(async (page) => {
    await page.goto(url)
    await page.click('#go')
    await page.waitForSelector('#trip h2')
    const early = { title: await text(page, '#trip h2'), isDone: await page.locator('.seal').count(), busy: await page.getAttribute('#trip', 'aria-busy') }
    await done(page)
    return { early, days: await page.locator('.day').count(), busy: await page.getAttribute('#trip', 'aria-busy'), axe: await violations(page) }
  }),

  /** Leaving by the button. */
  cancels: () => withPage(async (page) => {
    await page.goto(url)
    await page.click('#go')
    await page.waitForSelector('#trip h2')
    await page.click('#stop')
    await page.waitForFunction(() => document.querySelector('#status').textContent === 'Cancelled')
    return { status: await text(page, '#status'), problem: await page.isVisible('#problem') }
  }),

  /** A reload goes on with the same run. */
  resumes: () => withPage(async (page) => {
    await page.goto(url)
    await page.click('#go')
    await page.waitForSelector('#trip h2')
    await page.reload()
    await done(page)
    return { title: await text(page, '#trip h2') }
  }),

  /** A model that fails says so. */
  fails: () => withPage(async (page) => {
    await page.goto(url)
    await page.click('#go')
    await page.waitForSelector('#problem:visible')
    return { problem: await text(page, '#problem'), axe: await violations(page), canTryAgain: await page.isEnabled('#go') }
  }),

  /** The list by hand, whose events the page reads itself. */
  ideas: () => withPage(async (page) => {
    await page.goto(url)
    const status = page.locator('#ideas [role=status]')
    await page.click('#ideas-go')
    await page.waitForSelector('#ideas li, #ideas [role=status]:not(:empty)')
    const early = await page.locator('#ideas li').count()
    await page.waitForFunction(() => document.querySelector('#ideas [role=status]').textContent)
    return { early, ideas: await page.locator('#ideas li').count(), status: await status.innerText(), canAskAgain: await page.isEnabled('#ideas-go') }
  }),

  /** Pictures, for whoever looks. */
  pictures: async () => {
    for (const width of [390, 1280]) {
      for (const dark of [false, true]) {
        await withPage(async (page) => {
          await page.goto(url)
          await page.click('#go')
          await page.waitForSelector('.day:nth-of-type(2) .stop')
          await page.screenshot({ path: `${folder}/trip-${width}${dark ? '-dark' : ''}.png` })
        }, { width, dark })
      }
    }
    return {}
  },
}

console.log(JSON.stringify(await cases[what]()))
