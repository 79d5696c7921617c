// What nodemailer's mailparser and postal-mime read in each message.
// In: a folder. Out: {file: {mailparser: {subject, text, html, attachments}, 'postal-mime': {…}}}.
import { readFileSync, readdirSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';

const folder = process.argv[2];
// How lines of text end is a parser's choice: postal-mime takes the CR away.
const lines = (content) => Buffer.from(content).toString('latin1').replaceAll('\r\n', '\n');
const digest = (content) => createHash('sha256').update(lines(content), 'latin1').digest('hex');
const attached = (one, type) => [one.filename ?? '', type, digest(one.content)];

const result = {};
for (const name of readdirSync(folder).filter((one) => one.endsWith('.eml')).sort()) {
  const raw = readFileSync(join(folder, name));
  const first = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true });
  const second = await PostalMime.parse(raw);
  result[name] = {
    mailparser: {
      subject: first.subject ?? '',
      text: first.text ?? '',
      html: first.html || '',
      attachments: first.attachments.map((one) => attached(one, one.contentType)),
    },
    'postal-mime': {
      subject: second.subject ?? '',
      text: second.text ?? '',
      html: second.html ?? '',
      attachments: second.attachments.map((one) => attached(one, one.mimeType)),
    },
  };
}
process.stdout.write(JSON.stringify(result));
