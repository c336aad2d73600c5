import test from 'ava';
import * as z from 'zod';
import {errorCatalogue} from '../../schemas/errors.ts';
import {bodyOf, createCronHttp} from '../helpers/cron-http.ts';

const id = '6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11';
const pair = `# hoody-cron: id=${id}\n0 1 * * * x\n`;
const errorSchema = z.strictObject({code: z.string(), message: z.string().min(1), details: z.unknown()});

/** Answers to a POST of an entry, which are the same for a PATCH. */
const entryRefusals: readonly [
  what: string,
  change: Record<string, unknown>,
  code: keyof typeof errorCatalogue,
][] = [
  ['six fields', {schedule: '0 0 12 * * ?'}, 'INVALID_SCHEDULE'],
  ['seven fields', {schedule: '0 0 12 * * * 2027'}, 'INVALID_SCHEDULE'],
  ['an unknown macro', {schedule: '@fortnightly'}, 'INVALID_SCHEDULE'],
  ['an empty schedule', {schedule: ''}, 'INVALID_SCHEDULE'],
  ['minute 60', {schedule: '60 * * * *'}, 'INVALID_SCHEDULE'],
  ['an empty command', {command: ''}, 'INVALID_COMMAND'],
  ['a command of 4,097 characters', {command: 'x'.repeat(4097)}, 'INVALID_COMMAND'],
  ...['\n', '\r', '\0', '\v', '\f', '\u0085', '\u2028', '\u2029'].map(
    (character): [string, Record<string, unknown>, keyof typeof errorCatalogue] => [
      `U+${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')} in a command`,
      {command: `a${character}b`},
      'INVALID_COMMAND',
    ],
  ),
  ['an empty name', {name: ''}, 'INVALID_NAME'],
  ['a name of 121 characters', {name: 'x'.repeat(121)}, 'INVALID_NAME'],
  ['a line end in a name', {name: 'a\nb'}, 'INVALID_NAME'],
  ['an empty comment', {comment: ''}, 'INVALID_COMMENT'],
  ['a comment of 501 characters', {comment: 'x'.repeat(501)}, 'INVALID_COMMENT'],
  ['U+2028 in a comment', {comment: 'a\u2028b'}, 'INVALID_COMMENT'],
  ['a date as expiry', {expires_at: '2026-05-20'}, 'INVALID_EXPIRES_AT'],
  ['30 February as expiry', {expires_at: '2027-02-30T00:00:00Z'}, 'INVALID_EXPIRES_AT'],
  ['an expiry without zone', {expires_at: '2026-05-20T00:00:00'}, 'INVALID_EXPIRES_AT'],
  ['this very instant as expiry', {expires_at: '2026-05-18T09:00:00Z'}, 'EXPIRES_IN_PAST'],
  ['an expiry that has passed in its own zone', {expires_at: '2026-05-18T10:30:00+02:00'}, 'EXPIRES_IN_PAST'],
  ['a command that is a number', {command: 5}, 'INVALID_BODY'],
  ['enabled as text', {enabled: 'yes'}, 'INVALID_BODY'],
];
for (const [what, change, code] of entryRefusals) {
  test(`an entry is refused for ${what} with ${code}, new or changed`, async (t) => {
    const {sendJson, put, text} = await createCronHttp(t);
    await put(pair);
    const before = await text();
    const created = await sendJson('POST', '/users/root/entries', {
      schedule: '@daily',
      command: 'y',
      ...change,
    });
    const changed = await sendJson('PATCH', `/users/root/entries/${id}`, change);
    for (const response of [created, changed]) {
      t.is(response.status, errorCatalogue[code].status);
      t.is((await bodyOf(response, errorSchema)).code, code);
    }
    t.is(await text(), before);
  });
}

test('what is at a limit is taken', async (t) => {
  const {sendJson} = await createCronHttp(t);
  const entry = {command: 'x'.repeat(4096), name: 'x'.repeat(120), comment: 'x'.repeat(500)};
  const expiry = {expires_at: '2026-05-18T09:00:00.001Z'};
  t.is(
    (await sendJson('POST', '/users/root/entries', {schedule: '@daily', ...entry, ...expiry})).status,
    201,
  );
});

const pathRefusals: readonly [method: string, path: string, code: keyof typeof errorCatalogue][] = [
  ['GET', '/users/-x/crontab', 'INVALID_USER'],
  ['GET', `/users/${'x'.repeat(33)}/entries`, 'INVALID_USER'],
  ['GET', '/users/a%20b/runs', 'INVALID_USER'],
  ['GET', '/users/x-/crontab', 'USER_NOT_FOUND'],
  ['GET', '/users/root/entries/6f2', 'INVALID_ID'],
  ['DELETE', '/users/root/entries/not-hex', 'INVALID_ID'],
  ['PATCH', `/users/root/entries/${id}`, 'ENTRY_NOT_FOUND'],
  ['DELETE', `/users/root/entries/${id}`, 'ENTRY_NOT_FOUND'],
  ['GET', '/users/root/entries?page=-1', 'INVALID_PAGINATION'],
  ['GET', '/users/root/entries?page=1.5', 'INVALID_PAGINATION'],
  ['GET', '/users/root/entries?limit=0', 'INVALID_PAGINATION'],
  ['GET', '/crontab?limit=x', 'INVALID_PAGINATION'],
];
for (const [method, path, code] of pathRefusals) {
  test(`${method} ${path} is refused with ${code}`, async (t) => {
    const {send, sendJson} = await createCronHttp(t);
    const response = await (method === 'PATCH' ? sendJson(method, path, {}) : send(method, path));
    t.is(response.status, errorCatalogue[code].status);
    t.is((await bodyOf(response, errorSchema)).code, code);
  });
}

const textRefusals: readonly [what: string, text: string][] = [
  ['two pairs with one id', pair + pair],
  ['an id twice in one line', `# hoody-cron: id=${id} id=${id}\n0 1 * * * x\n`],
  ['Quartz', '0 0 12 * * ? x\n'],
  ['a command that is missing', '0 0 * * *\n'],
  ['NUL', '0 0 * * * a\0b\n'],
];
for (const [what, text] of textRefusals) {
  test(`a crontab is refused for ${what} with the line`, async (t) => {
    const {putText, text: stored} = await createCronHttp(t);
    const response = await putText('/users/root/crontab', text);
    t.is(response.status, 400);
    const {code, message} = await bodyOf(response, errorSchema);
    t.is(code, 'INVALID_CRONTAB');
    t.regex(message, /^Line \d+, column \d+: /);
    t.is(await stored(), '');
  });
}

test('a comment may hold what a rule may not', async (t) => {
  const {putText} = await createCronHttp(t);
  t.is((await putText('/users/root/crontab', '# 61 * * * * L W ?\n#\n \t\n')).status, 200);
});
