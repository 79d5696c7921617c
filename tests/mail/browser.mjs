// Every mail in one Chromium: axe-core, sideways scrolling and contrast, in light and dark, wide and narrow.
// In: a folder. Out: {file: {violations: [{rule, scheme, width, where}…], overflow: px, contrast: {…}}}.
// Nothing is fetched: the browser is offline and sees files only.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [folder, executablePath] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const contrasts = readFileSync(new URL('contrast.js', import.meta.url), 'utf8');
const PAGES = 2;
const HEIGHT = 900;
const SCHEMES = ['light', 'dark'];
const WIDTHS = [800, 360];
const RULES = {
  runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
  rules: { region: { enabled: false }, 'landmark-one-main': { enabled: false } },
  resultTypes: ['violations'],
  preload: false,
};
const FLAGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND'];

async function look(page, scheme, width, found) {
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height: HEIGHT });
  await page.evaluate(() => document.getAnimations().forEach((one) => one.cancel())); // colours stand still
  const seen = await page.evaluate(async (rules) => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    contrast: globalThis.contrasts(),
    violations: (await globalThis.axe.run(document, rules)).violations.map(
      (one) => [one.id, one.nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')]),
  }), RULES);
  for (const [rule, where] of seen.violations) found.violations.push({ rule, scheme, width, where });
  found.overflow = Math.max(found.overflow, seen.overflow);
  for (const [kind, lowest] of Object.entries(seen.contrast)) {
    if (kind !== 'plain' && scheme !== 'light') continue; // what inverts a mail inverts its light colours
    const column = kind === 'plain' ? scheme : kind;
    for (const [part, low] of Object.entries(lowest)) {
      const known = found.contrast[column] ??= {};
      if (!known[part] || low.ratio < known[part].ratio) known[part] = { ...low, width };
    }
  }
}

async function visit(page, name) {
  // A document of its own for each: written into the last one's place, it would inherit that one's color-scheme.
  await page.goto(pathToFileURL(join(folder, name)).href, { waitUntil: 'load' });
  await page.evaluate(axe);
  await page.evaluate(contrasts);
  const found = { violations: [], overflow: 0, contrast: {} };
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) await look(page, scheme, width, found);
  }
  return found;
}

async function worker(context, names, result) {
  const page = await context.newPage();
  for (let name = names.shift(); name; name = names.shift()) result[name] = await visit(page, name);
}

const browser = await chromium.launch({ executablePath, args: FLAGS });
const result = {};
try {
  const context = await browser.newContext({ offline: true });
  const names = readdirSync(folder).filter((one) => one.endsWith('.html')).sort();
  await Promise.all(Array.from({ length: PAGES }, () => worker(context, names, result)));
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(result));
