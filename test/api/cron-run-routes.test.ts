import test from 'ava';
import {readServerSentEvents} from '../../api/server-sent-events.ts';
import {entryListSchema, managedEntrySchema} from '../../schemas/cron-api.ts';
import {outputEventSchema, runOutputSchema, whySchema} from '../../schemas/cron-run-api.ts';
import {runSchema} from '../../schemas/run.ts';
import {bodyOf, type CronHttp, createCronHttp} from '../helpers/cron-http.ts';

const minuteMs = 60_000;

async function onlyId({get}: CronHttp): Promise<string> {
  const {entries} = await bodyOf(get('/users/root/entries'), entryListSchema);
  return entries.find(({id}) => id !== undefined)?.id ?? '';
}

test('POST .../run answers 202 with the record of a run that begins', async (t) => {
  const http = await createCronHttp(t);
  await http.put('0 0 1 1 * echo hello\n');
  const response = await http.send('POST', `/users/me/entries/${await onlyId(http)}/run`);
  t.is(response.status, 202);
  const {id} = await bodyOf(response, runSchema);
  await http.finished(1);
  const output = await bodyOf(http.get(`/users/root/runs/${id}/output`), runOutputSchema);
  t.deepEqual(output, {id, status: 'succeeded', stdout: 'hello\n', stderr: '', truncated: false});
});

test('POST .../pause takes a reason and a deadline, or nothing; .../resume ends it', async (t) => {
  const http = await createCronHttp(t);
  const {id} = await http.cron.createEntry('root', {schedule: '* * * * *', command: 'true'});
  const path = `/users/root/entries/${id}`;
  const until = '2026-05-18T10:00:00.000Z';
  const paused = await bodyOf(
    http.sendJson('POST', `${path}/pause`, {reason: 'why', until}),
    managedEntrySchema,
  );
  t.deepEqual(paused.paused, {reason: 'why', owner: null, since: '2026-05-18T09:00:00.000Z', until});
  const again = await bodyOf(http.send('POST', `${path}/pause`), managedEntrySchema);
  t.like(again.paused, {reason: null, until: null});
  t.is((await bodyOf(http.send('POST', `${path}/resume`), managedEntrySchema)).paused, null);
});

const refusals = [
  {
    method: 'POST',
    path: '/users/root/entries/00000000-0000-4000-8000-000000000000/run',
    code: 'ENTRY_NOT_FOUND',
  },
  {method: 'POST', path: '/users/root/entries/zz/pause', code: 'INVALID_ID'},
  {method: 'POST', path: '/users/nobody-here/entries/0000/resume', code: 'USER_NOT_FOUND'},
  {method: 'GET', path: '/users/root/runs/none/output', code: 'RUN_NOT_FOUND'},
  {method: 'GET', path: '/users/root/runs/none/output?follow=1', code: 'RUN_NOT_FOUND'},
  {method: 'GET', path: '/users/root/why?entry=a', code: 'INVALID_QUERY'},
  {method: 'GET', path: '/users/root/why?entry=a&at=now', code: 'INVALID_QUERY'},
  {method: 'GET', path: '/users/root/why?entry=a&at=2026-05-18T09:00:00Z', code: 'ENTRY_NOT_FOUND'},
] as const;
for (const {method, path, code} of refusals) {
  test(`${method} ${path} is ${code}`, async (t) => {
    const {send} = await createCronHttp(t);
    t.like(await (await send(method, path)).json(), {code});
  });
}

test('GET .../output?follow=1 streams output as it comes and ends with the record', async (t) => {
  const http = await createCronHttp(t);
  await http.put(
    '1 9 * * * echo first; until [ -e go ]; do sleep 0.02; done; echo last\n2 9 * * * touch go\n',
  );
  await http.clock.advance(minuteMs);
  const [{id} = {id: ''}] = await http.runs();
  const response = await http.get(`/users/root/runs/${id}/output?follow=1`);
  t.is(response.headers.get('content-type'), 'text/event-stream');
  const texts: string[] = [];
  for await (const {event, data} of readServerSentEvents(response)) {
    const read = outputEventSchema.parse(JSON.parse(data));
    t.is(event, read.type);
    if (read.type === 'output') {
      if (texts.length === 0) await http.clock.advance(minuteMs);
      texts.push(read.text);
    }
    if (read.type === 'end') t.like(read.run, {id, status: 'succeeded'});
  }
  t.is(texts.join(''), 'first\nlast\n');
});

test('a client that leaves a stream ends it', async (t) => {
  const http = await createCronHttp(t);
  await http.put('1 9 * * * echo first; sleep 60\n');
  await http.clock.advance(minuteMs);
  const [{id} = {id: ''}] = await http.runs();
  const response = await http.get(`/users/root/runs/${id}/output?follow=1`);
  const reader = response.body?.getReader();
  await reader?.read();
  await t.notThrowsAsync(async () => reader?.cancel());
  t.is(http.cron.summary().running_jobs, 1);
});

test('GET .../why tells by name what happened in a minute', async (t) => {
  const http = await createCronHttp(t);
  await http.put('# branchtab: name=rollup\n*/5 * * * * true\n');
  await http.clock.advance(5 * minuteMs);
  await http.finished(1);
  const why = await bodyOf(http.get('/users/me/why?entry=rollup&at=2026-05-18T09:05:30Z'), whySchema);
  t.like(why, {verdict: 'ran', user: 'root', entry_name: 'rollup'});
});

test('an entry can be made to run once', async (t) => {
  const http = await createCronHttp(t);
  const response = await http.sendJson('POST', '/users/root/entries', {
    command: 'true',
    run_at: '2026-12-24T19:00:00+01:00',
    overlap: 'forbid',
    timeout_seconds: 60,
  });
  t.is(response.status, 201);
  t.like(await bodyOf(response, managedEntrySchema), {
    run_at: '2026-12-24T19:00:00+01:00',
    schedule: '0 18 24 12 *',
    overlap: 'forbid',
    timeout_seconds: 60,
    next_run: '2026-12-24T18:00:00.000Z',
  });
});

for (const body of [
  {command: 'true'},
  {command: 'true', schedule: '@daily', overlap: 'never'},
  {command: 'true', schedule: '@daily', retries: 11},
  {command: 'true', schedule: '@daily', timeout_seconds: 1.5},
]) {
  test(`a body of ${JSON.stringify(body)} is refused`, async (t) => {
    const {sendJson} = await createCronHttp(t);
    t.like(await (await sendJson('POST', '/users/root/entries', body)).json(), {code: 'INVALID_BODY'});
  });
}
