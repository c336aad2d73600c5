import {readFileSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {readServerSentEvents} from '../../../api/server-sent-events.ts';
import type {Execution} from '../../../schemas/execution.ts';
import type {Run} from '../../../schemas/run.ts';
import {startRuntime} from '../../helpers/runtime-process.ts';

/** The rollup of the documents, byte for byte. */
const rollup = readFileSync('fixtures/scripts/rollup.ts', 'utf8');

test('S2 S13 S14 S15 S16 S100: the nightly curl of a rollup that fails exits with 22, and its run shows the answer', async (t) => {
  const world = await setup(t);
  await world.write('rollup.ts', rollup);
  const run = await world.run(`curl -fsS ${world.url}/scripts/rollup/run`);
  t.is(run.status, 'failed');
  t.is(run.exit_code, 22);
  const [call] = run.calls;
  t.is(run.calls.length, 1);
  t.is(call?.url, '/scripts/rollup/run');
  t.is(call?.status, 500);
  const body = JSON.parse(call?.body ?? '') as {message: string; details: unknown};
  t.regex(body.message, /no such table: rollup_daily/);
  t.like(body.details, {file: 'rollup.ts', line: 3});
  const execution = await world.json<Execution>(`/api/v1/exec/executions/${call?.execution_id}`);
  t.like(execution, {script: 'rollup.ts', status: 'failed', http_status: 500, run_id: run.id});
  t.regex(execution.error?.stack ?? '', /no such table.*\n {4}at rollup\.ts:3:/);
});

test('S2 S14 S18: the same curl of a rollup that works has the new rows in its output and in its record', async (t) => {
  const world = await setup(t);
  await world.write('seed-events.ts', readFileSync('fixtures/scripts/seed-events.ts', 'utf8'));
  await world.write('rollup.ts', rollup);
  t.is((await fetch(`${world.url}/seed-events`)).status, 200);
  const run = await world.run(`curl -fsS ${world.url}/scripts/rollup/run`);
  t.like(run, {status: 'succeeded', exit_code: 0});
  const rows = {
    ok: true,
    rows: [
      {d: '2026-04-29 00:00:00', n: 1},
      {d: '2026-04-30 00:00:00', n: 2},
    ],
  };
  t.deepEqual(JSON.parse(run.stdout), rows);
  t.deepEqual(JSON.parse(run.calls[0]?.body ?? ''), rows);
  t.deepEqual(
    (await world.json<{items: Execution[]}>(`/api/v1/exec/executions?run=${run.id}`)).items.map(
      ({script}) => script,
    ),
    ['rollup.ts'],
  );
});

test('a call that no job makes belongs to no run, also while a job runs', async (t) => {
  const world = await setup(t);
  await world.write('hello.ts', 'return 1');
  const waiting = world.run(`curl -s ${world.url}/hello; until [ -e go ]; do sleep 0.05; done`);
  await world.untilCalled('hello.ts');
  const answer = await fetch(`${world.url}/hello`);
  const id = answer.headers.get('x-execution-id');
  t.is((await world.json<Execution>(`/api/v1/exec/executions/${id}`)).run_id, null);
  await world.write('go.ts', "await Bun.write('go', ''); return 1");
  await fetch(`${world.url}/go`);
  t.is((await waiting).calls.length, 1);
});

test('the token of a call is not in the record of its run', async (t) => {
  const world = await setup(t);
  await world.write('secret.ts', '// @token abc\nreturn 1');
  const run = await world.run(`curl -fsS '${world.url}/secret?a=1&token=abc'`);
  t.is(run.exit_code, 0);
  t.is(run.calls[0]?.url, '/secret?a=1&token=[REDACTED]');
});

async function setup(t: ExecutionContext) {
  const {url} = await startRuntime(t);
  const json = async <T>(path: string, body?: unknown): Promise<T> => {
    const init = body === undefined ? {} : {method: 'POST', body: JSON.stringify(body)};
    const response = await fetch(`${url}${path}`, {...init, headers: {'content-type': 'application/json'}});
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  return {
    url,
    json,
    write: (path: string, content: string) => json('/api/v1/exec/scripts/write', {path, content}),
    /** Runs a command as a job, and gives its record when it is over. */
    async run(command: string): Promise<Run> {
      const entry = await json<{id: string}>('/users/root/entries', {schedule: '0 1 1 1 *', command});
      const {id} = await json<Run>(`/users/root/entries/${entry.id}/run`, {});
      for await (const {event} of readServerSentEvents(
        await fetch(`${url}/users/root/runs/${id}/output?follow=1`),
      ))
        if (event === 'end') break;
      return (await json<{items: Run[]}>(`/users/root/runs?entry=${entry.id}`)).items.find(
        (run) => run.id === id,
      ) as Run;
    },
    async untilCalled(script: string): Promise<void> {
      const events = await fetch(`${url}/api/v1/exec/executions/follow?script=${script}`);
      const {items} = await json<{items: Execution[]}>(`/api/v1/exec/executions?script=${script}`);
      if (items.some(({status}) => status === 'succeeded')) return;
      for await (const {event} of readServerSentEvents(events)) if (event === 'end') return;
    },
  };
}
