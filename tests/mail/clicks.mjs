// Real clicks in one Chromium: each journey opens a page and does its steps, without scripts of the page's own.
// In: journeys as JSON on stdin: [{url, width, scheme, steps: [{check|click: selector} | {keys: [key…]}]}…].
// Out: per journey the pages that were seen: [{title, status, url, violations, overflow, sent}…].
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [executablePath] = process.argv.slice(2);
const journeys = JSON.parse(readFileSync(0, 'utf8'));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = {
  runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
  resultTypes: ['violations'],
  preload: false,
};
const FLAGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1'];

// What is looked at is a copy: the checker is a script, and the page itself runs none.
async function seen(page, copy, status, sent) {
  await copy.setContent(await page.content(), { waitUntil: 'load' });
  await copy.evaluate(axe);
  const found = await copy.evaluate(async (rules) => ({
    title: document.querySelector('h1')?.textContent.trim() ?? '',
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    violations: (await globalThis.axe.run(document, rules)).violations.map(
      (one) => `${one.id}: ${one.nodes[0].target.join(' ')}`),
  }), RULES);
  return { ...found, status, url: page.url(), sent };
}

async function go(browser, journey) {
  const screen = {
    viewport: { width: journey.width, height: 800 }, colorScheme: journey.scheme,
    isMobile: journey.width < 600, hasTouch: journey.width < 600,
  };
  const context = await browser.newContext({ ...screen, javaScriptEnabled: false });
  const checking = await browser.newContext({ ...screen, offline: true });
  const [page, copy] = [await context.newPage(), await checking.newPage()];
  const sent = [];
  page.on('request', (one) => sent.push(`${one.method()} ${new URL(one.url()).pathname.split('/')[1]}`));
  const first = await page.goto(journey.url, { waitUntil: 'load' });
  const pages = [await seen(page, copy, first.status(), sent.splice(0))];
  for (const step of journey.steps) {
    if (step.check) {
      await page.locator(step.check).click(); // the label, as a finger does
      continue;
    }
    const answered = page.waitForResponse((one) => one.request().isNavigationRequest(), { timeout: 30000 });
    const loaded = page.waitForEvent('load', { timeout: 30000 });
    if (step.click) await page.locator(step.click).click();
    else if (step.open) await page.goto(journey.url, { waitUntil: 'load' });
    else for (const key of step.keys) await page.keyboard.press(key);
    const answer = await answered;
    await loaded;
    pages.push(await seen(page, copy, answer.status(), sent.splice(0)));
  }
  await context.close();
  await checking.close();
  return pages;
}

const browser = await chromium.launch({ executablePath, args: FLAGS });
try {
  const result = [];
  for (const journey of journeys) result.push(await go(browser, journey));
  process.stdout.write(JSON.stringify(result));
} finally {
  await browser.close();
}
