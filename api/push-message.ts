import type {Context} from 'hono';
import {AppError} from '../schemas/errors.ts';
import {
  type NotifyRequest,
  notificationLimits,
  pushBodySchema,
  type Urgency,
  urgencySchema,
} from '../schemas/notification.ts';
import {parseJsonBytes, readBytes} from './json-body.ts';

const {summaryLength, bodyLength} = notificationLimits;
const maxBodyBytes = 16 * 1024;

/**
 * What a push says: `message`, `title` and `urgency` of the query, a text, or JSON; the query wins. Without a word it
 * is a ping from `origin`. Throws INVALID_QUERY, INVALID_BODY, INVALID_JSON, PAYLOAD_TOO_LARGE or UNSUPPORTED_MEDIA_TYPE.
 */
export async function readPush(c: Context, display: string, origin: string): Promise<NotifyRequest> {
  const {title, message, urgency} = c.req.query();
  const sent = await readSent(c);
  return {
    ...sent,
    display,
    ...inWords({
      title: checkLength('title', title, summaryLength) ?? sent.summary ?? '',
      message: checkLength('message', message, bodyLength) ?? sent.body ?? '',
      origin,
    }),
    urgency: urgency === undefined ? sent.urgency : readUrgency(urgency),
  };
}

async function readSent(c: Context) {
  const nothing = pushBodySchema.parse({});
  const bytes = c.req.method === 'GET' ? new Uint8Array() : await readBytes(c.req.raw, maxBodyBytes);
  if (bytes.length === 0) return nothing;
  const type = (c.req.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json') return pushBodySchema.parse(parseJsonBytes(bytes));
  // `curl -d` calls a plain text a form.
  if (type !== '' && type !== 'text/plain' && type !== 'application/x-www-form-urlencoded') {
    throw new AppError(
      'UNSUPPORTED_MEDIA_TYPE',
      'Send the message as `text/plain`, or as JSON `{"summary": "...", "body": "..."}`.',
    );
  }
  // Output of programs may hold anything; a page with a replaced character is better than none.
  const text = new TextDecoder().decode(bytes);
  if (text.length <= bodyLength) return {...nothing, body: text};
  throw new AppError(
    'PAYLOAD_TOO_LARGE',
    `The message has ${text.length} characters, and ${bodyLength} fit. Send its end, for example through \`tail -c ${bodyLength}\`.`,
  );
}

/** A message without title has its first line as one. */
function inWords({
  title,
  message,
  origin,
}: {
  title: string;
  message: string;
  origin: string;
}): Pick<NotifyRequest, 'summary' | 'body'> {
  const body = message.trimEnd();
  if (title.trim() !== '') return {summary: title, body};
  const words = body.trim();
  if (words === '') return {summary: shortened(`ping from ${origin}`), body: ''};
  const summary = shortened(words.split(/[\r\n]/, 1)[0]?.trimEnd() ?? '');
  return {summary, body: summary === words ? '' : body};
}

function shortened(line: string): string {
  if (line.length <= summaryLength) return line;
  return `${line.slice(0, summaryLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

function checkLength(name: string, text: string | undefined, maxLength: number): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length <= maxLength) return text.toWellFormed();
  throw new AppError('INVALID_QUERY', `${name} has ${text.length} characters, and ${maxLength} fit.`);
}

function readUrgency(text: string): Urgency {
  const parsed = urgencySchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new AppError('INVALID_QUERY', `urgency is one of ${urgencySchema.options.join(', ')}.`);
}
