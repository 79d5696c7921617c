// Which CSS and HTML features of each file the named mail programs do not support, as caniemail.com knows it.
// In: a folder and a list of programs. Out: {file: {whole: [[feature, program]…], unstyled: […]}}.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { caniemail } from 'caniemail';

const [folder, listed] = process.argv.slice(2);
const clients = listed.split(',');

// A feature of which nothing is known for a program makes caniemail throw: for that program it is left out.
function issues(html, programs) {
  try {
    return [...caniemail({ clients: programs, html }).issues.errors];
  } catch (error) {
    const [, feature] = /^Feature "([\w-]+)" not found/.exec(error.message) ?? [];
    if (!feature) throw error;
    if (programs.length > 1) return programs.flatMap((one) => issues(html, [one]));
    const without = html.replace(new RegExp(`(?<![\\w-])${feature}\\s*:[^;"'}]*;?`, 'gi'), '');
    if (without === html) throw error;
    return issues(without, programs);
  }
}

function gaps(html) {
  const found = new Set();
  for (const [client, list] of issues(html, clients)) {
    for (const { title } of list) found.add(JSON.stringify([title, client]));
  }
  return [...found].sort().map((pair) => JSON.parse(pair));
}

const result = {};
for (const name of readdirSync(folder).filter((one) => one.endsWith('.html')).sort()) {
  const html = readFileSync(join(folder, name), 'utf8');
  result[name] = { whole: gaps(html), unstyled: gaps(html.replace(/<style\b[\s\S]*?<\/style>/gi, '')) };
}
process.stdout.write(JSON.stringify(result));
