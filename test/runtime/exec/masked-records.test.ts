import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {createExecutionRecorder} from '../../../runtime/exec/execution-recorder.ts';
import type {Executions} from '../../../runtime/exec/executions.ts';
import {createLazyExecutionStore} from '../../../runtime/exec/lazy-execution-store.ts';
import {defaultOptions} from '../../../runtime/exec/script-options.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {createSecretMask} from '../../../runtime/platform/secret-mask.ts';
import type {ExecutionEvent} from '../../../schemas/execution.ts';
import type {RunCall} from '../../../schemas/run.ts';
import {callScript} from '../../helpers/call-script.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

const secret = 'correct-horse-battery';
const start = {
  script: 'a.ts',
  method: 'GET',
  url: '/a',
  client_ip: '',
  commit: null,
  deployment: '',
  run_id: null,
  warnings: [],
  request_headers: null,
};

test('a secret that a script prints is in no record, log or stream', async (t) => {
  const {exec, call} = await execWorld(t, {secrets: [secret]});
  const text = `console.log('with ${secret} inside'); console.error('${secret}'); return 1;`;
  await exec.deploy(deploymentOf({'prints.ts': text}));
  const id = idOf(await call('/prints'));
  const events = await eventsOf(await exec.executions(), id);
  t.like((await exec.executions()).get(id), {stdout: 'with *** inside\n', stderr: '***\n'});
  t.false(JSON.stringify(events).includes(secret));
  const {logs} = await exec.management();
  const {lines} = await logs.read({executionId: id, lines: 10, tail: true});
  t.deepEqual(lines, ['with *** inside', '***']);
  const {logs: listed} = await logs.list({type: 'executions', limit: 10});
  t.deepEqual(
    listed.map(({name}) => name),
    [`executions/${id}/console.log`],
  );
});

test('a secret that comes in pieces is held back until it is whole, and what only looks like one comes through', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'bt-records-'));
  const store = createLazyExecutionStore(join(directory, 'executions.db'));
  t.teardown(() => {
    store.close();
    rmSync(directory, {recursive: true});
  });
  const recorder = createExecutionRecorder({clock: systemClock, log: silentLog, openStore: store.get});
  const {log} = defaultOptions;
  recorder.begin({...start, id: 'whole'}, log, createSecretMask([secret]));
  recorder.begin({...start, id: 'part'}, log, createSecretMask([secret]));
  recorder.output('whole', [['stdout', `with ${secret.slice(0, 9)}`]], 0);
  recorder.output('part', [['stdout', `with ${secret.slice(0, 9)}`]], 0);
  t.is(recorder.recent('whole')?.stdout, 'with ');
  recorder.output('whole', [['stdout', `${secret.slice(9)} inside`]], 0);
  t.is(recorder.recent('whole')?.stdout, 'with *** inside');
  recorder.stop();
  t.is(store.get().get('part')?.stdout, `with ${secret.slice(0, 9)}`);
});

test('a secret in an error, its stack, the address, headers or the answer is in no record', async (t) => {
  const {exec, call} = await execWorld(t, {secrets: [secret]});
  await exec.deploy(
    deploymentOf({'throws.ts': `// @log-level debug\nthrow new Error('no ' + metadata.query.key)`}),
  );
  const answer = await call(`/throws?key=${secret}`, {headers: {'x-note': secret}});
  t.true((await answer.text()).includes(secret), 'the caller gets what the script says');
  const id = idOf(answer);
  await eventsOf(await exec.executions(), id);
  const record = (await exec.executions()).get(id);
  t.is(record.error?.message, 'Error: no ***');
  t.is(record.url, '/throws?key=***');
  t.is(record.request_headers?.['x-note'], '***');
  t.true(record.response_body?.includes('***'));
  t.false(JSON.stringify(record).includes(secret));
});

test('a secret in an answer is not in the record of the run that called', async (t) => {
  const called = Promise.withResolvers<RunCall>();
  const {exec} = await execWorld(t, {secrets: [secret], onRunCall: (_, call) => called.resolve(call)});
  await exec.deploy(deploymentOf({'tells.ts': `return 'x'.repeat(4090) + '${secret}'`}));
  const target = `/tells?key=${secret}`;
  const call = {path: '/tells', target, clientIp: '', findRun: () => 'run'};
  await (await callScript(exec.calls, new Request(`http://localhost${target}`), call)).text();
  const {url, body} = await called.promise;
  t.is(url, '/tells?key=***');
  t.is(body, `${'x'.repeat(4090)}***`);
});

function idOf(answer: Response): string {
  return answer.headers.get('x-execution-id') ?? '';
}

/** Until the call is over. */
async function eventsOf(executions: Executions, id: string): Promise<ExecutionEvent[]> {
  const events: ExecutionEvent[] = [];
  const {signal} = new AbortController();
  for await (const event of executions.follow({id, script: null, status: null}, signal)) events.push(event);
  return events;
}
