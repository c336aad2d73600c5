import test from 'ava';
import {AppError} from '../../../schemas/errors.ts';
import {deploymentOf, execWorld, fixtureDeployment} from '../../helpers/exec-world.ts';

test('S6 S7 S9 S10 S11 S19: the rollup script runs verbatim and its database stays in the data directory', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(fixtureDeployment('rollup.ts', 'seed-events.ts'));
  t.is(await (await call('/seed-events')).text(), 'seeded');
  const response = await call('/rollup');
  t.is(response.status, 200);
  t.deepEqual(await response.json(), {
    ok: true,
    rows: [
      {d: '2026-04-29 00:00:00', n: 1},
      {d: '2026-04-30 00:00:00', n: 2},
    ],
  });
  t.true(await Bun.file(`${home}/events.db`).exists());
});

test('S8 S17: the sample of the documents recounts a day as often as it is asked, and other days stay', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('rollup-by-day.ts', 'seed-events.ts'));
  await call('/seed-events');
  const rollup = async (query: string) => (await call(`/scripts/rollup-by-day/run${query}`)).json();
  for (const _ of [1, 2]) {
    t.deepEqual(await rollup('?date=2026-04-30'), {ok: true, rows: [{d: '2026-04-30', n: 2}]});
    t.deepEqual(await rollup('?date=2026-04-29'), {ok: true, rows: [{d: '2026-04-29', n: 1}]});
  }
  const today = new Date().toISOString().slice(0, 10);
  t.deepEqual(await rollup(''), {ok: true, rows: [{d: today, n: 0}]});
  await call('/seed-events');
  t.deepEqual(await rollup('?date=2026-04-30'), {ok: true, rows: [{d: '2026-04-30', n: 4}]});
  await exec.deploy(
    deploymentOf({
      'all.ts': "return new Database('events.db').query('SELECT * FROM rollup_daily ORDER BY d').all()",
    }),
  );
  t.deepEqual(await (await call('/all')).json(), [
    {d: '2026-04-29', n: 1},
    {d: '2026-04-30', n: 4},
    {d: today, n: 0},
  ]);
});

test('S17: a date that is none is refused', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('rollup-by-day.ts'));
  t.is((await call('/rollup-by-day?date=yesterday')).status, 400);
});

test('S5: /scripts/<name>/run and /scripts/<name> name the same script', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('hello.ts'));
  for (const target of ['/hello', '/scripts/hello', '/scripts/hello/run', '/%68ello']) {
    t.deepEqual(await (await call(target)).json(), {hello: 'world'}, target);
  }
});

test('S17: query parameters reach the script', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('hello.ts'));
  t.deepEqual(await (await call('/hello?name=a&name=b%20c')).json(), {hello: 'b c'});
});

test('every answer carries the id of its execution', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('hello.ts'));
  const ids = [await call('/hello'), await call('/hello')].map(({headers}) => headers.get('x-execution-id'));
  t.regex(String(ids[0]), /^[0-9a-f-]{36}$/);
  t.not(ids[0], ids[1]);
});

const failing = test.macro(
  async (t, {file, expect}: {file: string; expect: {message: RegExp; details: Record<string, unknown>}}) => {
    const {exec, call} = await execWorld(t);
    await exec.deploy(fixtureDeployment(file));
    const response = await call(`/${file.replace(/\.ts$/, '')}`);
    t.is(response.status, 500);
    const body = (await response.json()) as {code: string; message: string; details: Record<string, unknown>};
    t.is(body.code, 'SCRIPT_FAILED');
    t.regex(body.message, expect.message);
    t.like(body.details, expect.details);
  },
);

test('an error points at its line below a multi-line import', failing, {
  file: 'throws.ts',
  expect: {message: /^TypeError: no row 7$/, details: {file: 'throws.ts', line: 8}},
});
test('an error on line 1 has the column of the author', failing, {
  file: 'throws-at-once.ts',
  expect: {message: /on the first line/, details: {file: 'throws-at-once.ts', line: 1, column: 11}},
});
test('a missing import names the script that asks for it', failing, {
  file: 'imports-nothing.ts',
  expect: {message: /nowhere/, details: {file: 'imports-nothing.ts'}},
});
test('process.exit ends the call and not the host', failing, {
  file: 'exits.ts',
  expect: {message: /not available in scripts/, details: {file: 'exits.ts'}},
});

test('a syntax error is told at call time with its position', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'bad.ts': '// fine\nconst a = ;\nreturn a;\n'}));
  const response = await call('/bad');
  t.like(await response.json(), {code: 'SCRIPT_FAILED', details: {file: 'bad.ts', line: 2, column: 11}});
});

test('a handler in module.exports answers from a callback', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('express.js'));
  const response = await call('/express', {
    method: 'POST',
    body: '{"a": [1]}',
    headers: {'content-type': 'application/json'},
  });
  t.is(response.status, 201);
  t.deepEqual(await response.json(), {method: 'POST', body: {a: [1]}});
});

test('a body that is not the JSON it claims to be is the caller’s error', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('express.js'));
  const response = await call('/express', {
    method: 'POST',
    body: '{"a"',
    headers: {'content-type': 'application/json'},
  });
  t.is(response.status, 400);
  t.like(await response.json(), {code: 'INVALID_BODY'});
});

test('a module keeps its state between calls and imports its neighbours', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('counter.ts', 'lib/step.ts'));
  t.deepEqual(await (await call('/counter')).json(), {count: 2});
  t.deepEqual(await (await call('/counter')).json(), {count: 4});
});

test('handlers by method answer with a web Response, others with 405', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('by-method.ts'));
  const got = await call('/by-method?x=1');
  t.is(await got.text(), 'got ?x=1');
  t.is(got.headers.get('x-from'), 'script');
  const posted = await call('/by-method', {method: 'POST', body: 'x'});
  t.is(posted.status, 405);
  t.is(posted.headers.get('allow'), 'GET, HEAD, OPTIONS');
});

const answers: [string, {status: number; type: string | null; body: string}][] = [
  ['return "é"', {status: 200, type: 'text/plain; charset=utf-8', body: 'é'}],
  ['return [1, {a: null}]', {status: 200, type: 'application/json', body: '[1,{"a":null}]'}],
  ['return 5', {status: 200, type: 'application/json', body: '5'}],
  ['return Buffer.from("raw")', {status: 200, type: 'application/octet-stream', body: 'raw'}],
  ['return', {status: 204, type: null, body: ''}],
  ['res.status(202); return {a: 1}', {status: 202, type: 'application/json', body: '{"a":1}'}],
  [
    'res.setHeader("content-type", "text/csv"); res.end("a,b"); return {ignored: true}',
    {status: 200, type: 'text/csv', body: 'a,b'},
  ],
  [
    'const path = 1, Database = 2; return path + Database',
    {status: 200, type: 'application/json', body: '3'},
  ],
];
test('what a script returns becomes the answer', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf(Object.fromEntries(answers.map(([text], index) => [`s${index}.ts`, text]))));
  for (const [index, [text, expected]] of answers.entries()) {
    const response = await call(`/s${index}`);
    t.deepEqual(
      {status: response.status, type: response.headers.get('content-type'), body: await response.text()},
      expected,
      text,
    );
  }
});

test('a returned stream is passed on', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('streams-slowly.ts'));
  t.is(await (await call('/streams-slowly')).text(), 'one two three');
});

test('a script sees the variables it was given and nothing else, in the data directory', async (t) => {
  const {exec, call, home, variables} = await execWorld(t);
  await exec.deploy(fixtureDeployment('environment.ts'));
  t.deepEqual(await (await call('/environment')).json(), {environment: variables, directory: home});
});

test('changed variables reach the next call, in a new host', async (t) => {
  const {exec, call, variables} = await execWorld(t);
  await exec.deploy(fixtureDeployment('environment.ts'));
  await call('/environment');
  variables.HOODY_COMMIT = 'abc';
  t.like(await (await call('/environment')).json(), {environment: {HOODY_COMMIT: 'abc'}});
});

test('a script that does not answer in time gives SCRIPT_TIMEOUT and leaves the host alone', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('forever.ts', 'shared.ts'));
  const before = (await (await call('/shared')).json()) as {pid: number};
  t.is(await codeOf(call('/forever')), 'SCRIPT_TIMEOUT');
  t.deepEqual(await (await call('/shared')).json(), {calls: 2, pid: before.pid});
});

test('a script that blocks is ended at its own deadline and the next call gets a new host', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('spins.ts', 'hello.ts'));
  t.is(await codeOf(call('/spins')), 'SCRIPT_TIMEOUT');
  t.is((await call('/hello')).status, 200);
});

test('a host that dies gives SCRIPT_HOST_FAILED and is replaced', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('dies.ts', 'hello.ts'));
  t.is(await codeOf(call('/dies')), 'SCRIPT_HOST_FAILED');
  t.is((await call('/hello')).status, 200);
});

test('a deployment starts a new host and lets the old one finish its call', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('slow.ts', 'shared.ts'));
  const {pid} = (await (await call('/shared')).json()) as {pid: number};
  const running = call('/slow');
  await exec.deploy(fixtureDeployment('shared.ts'));
  const after = (await (await call('/shared')).json()) as {pid: number};
  t.not(after.pid, pid);
  t.deepEqual(await (await running).json(), {pid});
});

test('an idle host is stopped and started again by the next call', async (t) => {
  const {exec, call} = await execWorld(t, {idleMs: 20});
  await exec.deploy(fixtureDeployment('shared.ts'));
  const {pid} = (await (await call('/shared')).json()) as {pid: number};
  while (isAlive(pid)) await Bun.sleep(5);
  const after = (await (await call('/shared')).json()) as {calls: number; pid: number};
  t.is(after.calls, 1);
  t.not(after.pid, pid);
});

test('disabled, unknown and reserved paths are refused', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(fixtureDeployment('disabled.ts'));
  const codes = [];
  for (const target of ['/disabled', '/nothing', '/a/node_modules/b', '/x%2F.git']) {
    codes.push(await codeOf(call(target)));
  }
  t.deepEqual(codes, ['SCRIPT_NOT_FOUND', 'SCRIPT_NOT_FOUND', 'PATH_EXCLUDED', 'PATH_EXCLUDED']);
});

test('scripts written one by one change the digest and tell it', async (t) => {
  const {exec, call} = await execWorld(t);
  const events: unknown[] = [];
  exec.on((event) => events.push(event));
  const script = {path: 'a/hi.ts', content: '// @token secret\nreturn 1', validate: true, ifNotExists: false};
  t.like(await exec.write(script), {created: true, updated: false, size: 25, validated: true});
  t.deepEqual(events, [{type: 'deployment_changed', digest: exec.digest()}]);
  t.is(await (await call('/a/hi?token=secret')).text(), '1');
  t.like(await exec.read('a/hi.ts'), {
    content: '// @token [REDACTED]\nreturn 1',
    magicComments: {token: '[REDACTED]'},
  });
  t.is(await exec.source('a/hi.ts'), script.content);
  t.like(await exec.write(script), {created: false, updated: true});
  t.is(events.length, 1);
  await t.throwsAsync(exec.write({...script, ifNotExists: true}), {message: /a\/hi\.ts exists/});
  t.deepEqual(
    (await exec.list({directory: '', recursive: true})).scripts.map(({path}) => path),
    ['a/hi.ts'],
  );
  t.like(await exec.delete('a/hi.ts'), {deleted: true, size: 25});
  await t.throwsAsync(exec.read('a/hi.ts'), {instanceOf: AppError});
});

test('parallel writes are all kept', async (t) => {
  const {exec} = await execWorld(t);
  const paths = ['a.ts', 'b.ts', 'c.ts', 'd.ts'];
  await Promise.all(
    paths.map((path) => exec.write({path, content: `return '${path}'`, validate: false, ifNotExists: false})),
  );
  t.is((await exec.list({directory: '', recursive: true})).count, 4);
});

test('a script that does not parse is not written', async (t) => {
  const {exec} = await execWorld(t);
  const error = await t.throwsAsync(
    exec.write({path: 'bad.ts', content: 'return {', validate: true, ifNotExists: false}),
    {instanceOf: AppError},
  );
  t.is(error?.code, 'SCRIPT_INVALID');
  t.is(exec.digest(), null);
});

async function codeOf(answer: Promise<Response>): Promise<string> {
  return ((await (await answer).json()) as {code: string}).code;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH is the answer that is waited for.
    return false;
  }
}
