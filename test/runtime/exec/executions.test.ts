import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readServerSentEvents} from '../../../api/server-sent-events.ts';
import {openExecutionStore} from '../../../runtime/exec/execution-store.ts';
import type {Execution, ExecutionEvent, ExecutionList} from '../../../schemas/execution.ts';
import {execHttp} from '../../helpers/exec-http.ts';
import {deploymentOf} from '../../helpers/exec-world.ts';

const records = '/api/v1/exec/executions';
const commit = 'c0ffee0000000000000000000000000000000000';

async function setup(t: ExecutionContext, files: Readonly<Record<string, string>>) {
  const world = await execHttp(t);
  world.variables.HOODY_COMMIT = commit;
  await world.exec.deploy(deploymentOf(files, {commit}));
  const list = async (query = ''): Promise<ExecutionList> =>
    (await world.request('GET', `${records}${query}`)).json() as Promise<ExecutionList>;
  return {
    ...world,
    list,
    /** The record of an answer, once all that belongs to it is there. */
    async recordOf(response: Response, {prints = false} = {}): Promise<Execution> {
      await response.text();
      const id = response.headers.get('x-execution-id');
      for (;;) {
        const record = (await (await world.request('GET', `${records}/${id}`)).json()) as Execution;
        // What a script prints and throws comes on a way of its own, and may be behind the answer.
        const isWhole =
          (record.status !== 'failed' || record.error !== null) && (!prints || record.stderr !== '');
        if (record.status !== 'running' && isWhole) return record;
        await Bun.sleep(2);
      }
    },
  };
}

async function* eventsOf(response: Response): AsyncGenerator<ExecutionEvent> {
  for await (const {data} of readServerSentEvents(response)) yield JSON.parse(data) as ExecutionEvent;
}

test('a record tells script, request, commit, duration, answer, output and error', async (t) => {
  const {call, recordOf, request} = await setup(t, {
    'a.ts':
      'console.log("out", {n: 1}); console.error("err"); await Bun.sleep(5); res.status(201); return "four";',
    'throws.ts': '\nthrow new TypeError("no");',
    'answers-500.ts': 'return res.status(500).json({no: 1});',
  });
  const a = await recordOf(await call('/a?x=1', {method: 'POST', body: 'b'}), {prints: true});
  t.like(a, {
    script: 'a.ts',
    method: 'POST',
    url: '/a?x=1',
    client_ip: '127.0.0.1',
    commit,
    run_id: null,
    status: 'succeeded',
    http_status: 201,
    response_bytes: 4,
    error: null,
    stdout: 'out { n: 1 }\n',
    stderr: 'err\n',
    request_headers: null,
    request_body: null,
    response_body: null,
  });
  t.true((a.duration_ms ?? 0) >= 5);
  t.is(Date.parse(a.finished_at ?? '') >= Date.parse(a.started_at), true);
  const thrown = await recordOf(await call('/throws'));
  t.like(thrown, {status: 'failed', http_status: 500});
  t.like(thrown.error, {code: 'SCRIPT_FAILED', message: 'TypeError: no', file: 'throws.ts', line: 2});
  t.regex(thrown.error?.stack ?? '', /^TypeError: no\n {4}at throws\.ts:2:/);
  const failed = await call('/answers-500');
  await failed.text();
  const until = async (): Promise<Execution> => {
    const id = failed.headers.get('x-execution-id');
    const record = (await (await request('GET', `${records}/${id}`)).json()) as Execution;
    return record.status === 'running' ? until() : record;
  };
  t.like(await until(), {status: 'failed', http_status: 500, error: null});
});

test('records are asked for by script, status, commit and time, page by page', async (t) => {
  const {call, list} = await setup(t, {'a.ts': 'return 1', 'b.ts': 'throw 1'});
  for (const target of ['/a', '/b', '/a', '/b', '/a']) await (await call(target)).text();
  const scripts = async (query: string) => (await list(query)).items.map(({script}) => script);
  t.deepEqual(await scripts('?script=a.ts'), ['a.ts', 'a.ts', 'a.ts']);
  t.deepEqual(await scripts('?status=failed'), ['b.ts', 'b.ts']);
  t.is((await scripts(`?commit=${commit}`)).length, 5);
  t.deepEqual(await scripts('?commit=other'), []);
  t.is((await scripts('?since=2020-01-01T00:00:00Z')).length, 5);
  t.deepEqual(await scripts('?until=2020-01-01T00:00:00Z'), []);
  t.deepEqual(await scripts('?since=2099-01-01T00:00:00Z'), []);
  const paged: string[] = [];
  let cursor: string | null = null;
  do {
    const page: ExecutionList = await list(`?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`);
    paged.push(...page.items.map(({id}) => id));
    cursor = page.next_cursor;
  } while (cursor !== null);
  t.deepEqual(
    paged,
    (await list()).items.map(({id}) => id),
  );
  t.is(new Set(paged).size, 5);
});

test('a query that cannot be understood, and a record that is not there, are told apart', async (t) => {
  const {json} = await setup(t, {'a.ts': 'return 1'});
  for (const query of ['?status=odd', '?limit=0', '?limit=201', '?since=soon', '?cursor=none'])
    t.is((await json('GET', `${records}${query}`)).status, 400, query);
  t.like(await json('GET', `${records}/nobody`), {status: 404, body: {code: 'EXECUTION_NOT_FOUND'}});
  t.is((await json('GET', `${records}/nobody/follow`)).status, 404);
});

test('the output of a call is followed while it runs, from its beginning to its end', async (t) => {
  const {call, list, request} = await setup(t, {
    'a.ts':
      'console.log("one"); await new Promise((go) => { shared.go = go; }); console.log("two"); return 1;',
    'go.ts': 'shared.go(); return 1;',
  });
  const answer = call('/a');
  let [record] = (await list('?script=a.ts')).items;
  while (record?.stdout !== 'one\n') {
    await Bun.sleep(2);
    [record] = (await list('?script=a.ts')).items;
  }
  const events = eventsOf(await request('GET', `${records}/${record.id}/follow`));
  t.like((await events.next()).value, {type: 'start', execution: {status: 'running'}});
  t.like((await events.next()).value, {type: 'output', stream: 'stdout', text: 'one\n'});
  await call('/go');
  const rest: ExecutionEvent[] = [];
  for await (const event of events) rest.push(event);
  await answer;
  t.like(rest.at(-1), {type: 'end', execution: {status: 'succeeded'}});
  t.true(rest.some((event) => event.type === 'output' && event.text === 'two\n'));
});

test('all calls of a script are followed as they come', async (t) => {
  const {call, request} = await setup(t, {'a.ts': 'console.log("hi"); return 1', 'b.ts': 'return 1'});
  await call('/b');
  const events = eventsOf(await request('GET', `${records}/follow?script=a.ts`));
  const first = events.next();
  await call('/b');
  await call('/a');
  t.like((await first).value, {type: 'start', execution: {script: 'a.ts'}});
  const types = [(await events.next()).value?.type, (await events.next()).value?.type];
  t.deepEqual(types.sort(), ['end', 'output']);
  await events.return(undefined);
});

const levels: readonly (readonly [comments: string, expected: Partial<Execution> | null])[] = [
  ['', {stdout: 'said\n', request_headers: null, request_body: null, response_body: null}],
  ['// @log-level none\n', null],
  ['// @log-level minimal\n', {stdout: '', request_headers: null}],
  ['// @log-level full\n', {stdout: 'said\n', request_body: null, response_body: null}],
  ['// @log-level debug\n', {request_body: 'what came', response_body: 'answer'}],
  ['// @debug\n', {request_body: 'what came', response_body: 'answer'}],
  ['// @log-request-body full\n', {request_body: 'what came', response_body: null}],
  ['// @log-request-body redacted\n', {request_body: '[9 bytes]'}],
  ['// @log-response-body full\n', {request_body: null, response_body: 'answer'}],
  ['// @log-response-body redacted\n', {response_body: '[6 bytes]'}],
  [
    '// @log-request-body full\n// @log-response-body full\n// @log-max-body-size 4\n',
    {request_body: 'what', response_body: 'answ'},
  ],
];
for (const [comments, expected] of levels) {
  test(`what is kept of a call with ${JSON.stringify(comments)}`, async (t) => {
    const {call, list} = await setup(t, {
      'a.ts': `${comments}console.log('said'); return 'answer';`,
    });
    const answer = await call('/a', {method: 'POST', body: 'what came', headers: {'x-note': 'kept'}});
    t.is(await answer.text(), 'answer');
    let {items} = await list();
    while (expected?.stdout === 'said\n' && items[0]?.stdout === '') {
      await Bun.sleep(2);
      ({items} = await list());
    }
    if (expected === null) t.deepEqual(items, []);
    else t.like(items[0], expected);
  });
}

test('headers are kept on request, without those that open doors and those that are excluded', async (t) => {
  const {call, recordOf} = await setup(t, {
    'a.ts': '// @log-level full\n// @log-exclude-headers x-own\nreturn 1',
    'b.ts': '// @log-level full\nreturn 1',
  });
  const headers = {'x-note': 'kept', 'x-own': 'no', authorization: 'Bearer x', cookie: 'a=b', 'x-token': 'x'};
  const a = (await recordOf(await call('/a', {headers}))).request_headers;
  t.is(a?.['x-note'], 'kept');
  t.is(a?.['x-own'], undefined);
  const b = (await recordOf(await call('/b', {headers}))).request_headers;
  t.is(b?.['x-own'], 'no');
  for (const name of ['authorization', 'cookie', 'x-token']) t.is(b?.[name], undefined, name);
});

test('a body that is kept reaches the script whole', async (t) => {
  const {call, recordOf} = await setup(t, {
    'a.ts': '// @log-request-body full\n// @log-max-body-size 10\nreturn {bytes: req.rawBody.length};',
  });
  const answer = await call('/a', {method: 'POST', body: 'x'.repeat(3_000_000)});
  t.deepEqual(await answer.clone().json(), {bytes: 3_000_000});
  t.is((await recordOf(answer)).request_body, 'x'.repeat(10));
});

test('records go when they are too old, each after its own time, or too many', async (t) => {
  const {call, list, directory, recordOf} = await setup(t, {
    'a.ts': 'return 1',
    'short.ts': '// @log-retention-days 2\nreturn 1',
  });
  for (const target of ['/a', '/a', '/short']) await recordOf(await call(target));
  await list();
  const store = openExecutionStore(join(directory, 'exec/executions.db'), {
    ageDays: 30,
    maxCount: 2,
    maxBytes: 1e9,
  });
  t.teardown(() => store.close());
  const days = (count: number) => Date.now() + count * 24 * 60 * 60_000;
  const left = async () => (await list()).items.map(({script}) => script).sort();
  t.deepEqual(await left(), ['a.ts', 'a.ts', 'short.ts']);
  store.retain(days(3));
  t.deepEqual(await left(), ['a.ts', 'a.ts']);
  store.retain(days(29));
  t.deepEqual(await left(), ['a.ts', 'a.ts']);
  await recordOf(await call('/a'));
  await list();
  store.retain(days(0));
  t.is((await left()).length, 2);
  store.retain(days(31));
  t.deepEqual(await left(), []);
});
