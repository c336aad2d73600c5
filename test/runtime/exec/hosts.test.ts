import {existsSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {openExecutionStore} from '../../../runtime/exec/execution-store.ts';
import type {Execution} from '../../../schemas/execution.ts';
import {deploymentOf, execWorld, fixtureDeployment} from '../../helpers/exec-world.ts';

const hello = 'return {pid: process.pid, calls: (shared.calls = (shared.calls ?? 0) + 1)};';
/** Says that it has begun, and computes. */
const spin = (ms: number) =>
  `fs.writeFileSync('begun', ''); const end = performance.now() + ${ms}; while (performance.now() < end);`;

interface Host {
  readonly pid: number;
  readonly calls: number;
}
interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly details: Record<string, unknown>;
}

test('while a script blocks its host others are answered by a second one, and then by the first again', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(deploymentOf({'hello.ts': hello, 'spin.ts': `${spin(3000)} return {pid: process.pid}`}));
  const first = (await (await call('/hello')).json()) as Host;
  const blocked = call('/spin');
  // Sent to the blocked host, which never begins with it: it is given to the second one.
  await begun(home);
  const meanwhile = (await (await call('/hello')).json()) as Host;
  t.not(meanwhile.pid, first.pid);
  t.is(((await (await blocked).json()) as Host).pid, first.pid);
  let after = (await (await call('/hello')).json()) as Host;
  while (after.pid !== first.pid) after = (await (await call('/hello')).json()) as Host;
  t.is(after.calls, 2);
});

test('a body that was sent to a blocked host goes to the second one whole', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'echo.ts': 'return {pid: process.pid, text: req.body.text.length};',
      'spin.ts': `${spin(3000)} return {pid: process.pid}`,
    }),
  );
  const post = () =>
    call('/echo', {
      method: 'POST',
      body: JSON.stringify({text: 'x'.repeat(300_000)}),
      headers: {'content-type': 'application/json'},
    });
  const {pid} = (await (await post()).json()) as Host;
  const blocked = call('/spin');
  await begun(home);
  const answer = (await (await post()).json()) as {pid: number; text: number};
  t.is(answer.text, 300_000);
  t.not(answer.pid, pid);
  await blocked;
});

test('a deadline ends only its own call: one that waits beside a blocking call times out, and the other finishes', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'spin.ts': `${spin(1500)} return {pid: process.pid}`,
      'waits.ts': '// @timeout 300\nawait new Promise(() => {});',
      'hello.ts': hello,
    }),
  );
  const {pid} = (await (await call('/hello')).json()) as Host;
  const waits = call('/waits');
  await call('/hello');
  const blocked = call('/spin');
  t.is(((await (await waits).json()) as Refusal).code, 'SCRIPT_TIMEOUT');
  t.deepEqual(await (await blocked).json(), {pid});
});

test('a call that had begun beside one that blocks for ever is told who is to blame', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'spins.ts': '// @timeout 400\nwhile (true);',
      'waits.ts': "fs.writeFileSync('begun', ''); await new Promise(() => {});",
      'hello.ts': hello,
    }),
  );
  await call('/hello');
  const waits = call('/waits');
  await begun(home);
  const spins = (await (await call('/spins')).json()) as Refusal;
  t.is(spins.code, 'SCRIPT_TIMEOUT');
  const bystander = (await (await waits).json()) as Refusal;
  t.like(bystander, {
    code: 'SCRIPT_HOST_FAILED',
    details: {reason: 'timeout', collateral: true, blamed: 'spins.ts'},
  });
});

test('a script that has taken its host down twice gets one of its own', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'spins.ts': '// @timeout 400\nwhile (true);', 'hello.ts': hello}));
  for (const _ of [1, 2]) {
    // A host that is up: the time limit of the script must not pass while one starts.
    await call('/hello');
    await call('/spins');
  }
  const {pid} = (await (await call('/hello')).json()) as Host;
  await call('/spins');
  t.is(((await (await call('/hello')).json()) as Host).pid, pid);
});

test('@isolate process runs each call in a process of its own', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'own.ts': `// @isolate process\n${hello}`, 'hello.ts': hello}));
  const shared = (await (await call('/hello')).json()) as Host;
  const [one, two] = [
    (await (await call('/own')).json()) as Host,
    (await (await call('/own')).json()) as Host,
  ];
  t.is(new Set([shared.pid, one.pid, two.pid]).size, 3);
  t.is(two.calls, 1);
});

test('a host that takes too much memory is ended, and its call is told why', async (t) => {
  const {exec, call} = await execWorld(t, {maxResidentBytes: 250 * 1024 * 1024});
  await exec.deploy(fixtureDeployment('leaks.ts', 'hello.ts'));
  const refusal = (await (await call('/leaks')).json()) as Refusal;
  t.like(refusal, {code: 'SCRIPT_HOST_FAILED', details: {reason: 'memory', blamed: 'leaks.ts'}});
  t.is((await call('/hello')).status, 200);
});

test('what a script leaves behind, thrown or rejected, does not end the host', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'leaves.ts':
        'setTimeout(() => { throw new Error("later"); }, 1); Promise.reject(new Error("nobody")); return {pid: process.pid};',
      'hello.ts': hello,
    }),
  );
  const {pid} = (await (await call('/leaves')).json()) as Host;
  await Bun.sleep(30);
  t.is(((await (await call('/hello')).json()) as Host).pid, pid);
});

test('a call that was never begun when its host died is answered by the next one', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'dies.ts': `${spin(400)} process.kill(process.pid, 'SIGKILL'); while (true);`,
      'hello.ts': hello,
    }),
  );
  await call('/hello');
  const dies = call('/dies');
  await begun(home);
  const others = await Promise.all(Array.from({length: 5}, () => call('/hello')));
  t.deepEqual(
    others.map(({status}) => status),
    [200, 200, 200, 200, 200],
  );
  t.is(((await (await dies).json()) as Refusal).code, 'SCRIPT_HOST_FAILED');
});

test('a script that exits in the middle of its answer breaks it off', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'breaks.ts': 'res.write("half"); await Bun.sleep(20); process.kill(process.pid, "SIGKILL"); await 1;',
    }),
  );
  const response = await call('/breaks');
  await t.throwsAsync(response.text());
});

test('hot redeploy under load: no call fails and no answer is mixed', async (t) => {
  const {exec, call} = await execWorld(t);
  const version = (n: number) =>
    deploymentOf({
      'a.ts': `import {n} from './lib/n'; await Bun.sleep(2); return {a: ${n}, lib: n};`,
      'lib/n.ts': `export const n = ${n};`,
    });
  await exec.deploy(version(0));
  let isOver = false;
  const seen = new Set<number>();
  const problems: string[] = [];
  const clients = Array.from({length: 4}, async () => {
    while (!isOver) {
      const response = await call('/a');
      const text = await response.text();
      const {a, lib} = JSON.parse(text) as {a: number; lib: number};
      if (response.status !== 200 || a !== lib) problems.push(text);
      seen.add(a);
    }
  });
  for (let n = 1; n <= 8; n += 1) {
    await exec.deploy(version(n));
    t.like(await (await call('/a')).json(), {a: n});
  }
  isOver = true;
  await Promise.all(clients);
  t.deepEqual(problems, []);
  t.true(seen.has(8));
});

test('a warm host is there before the first call and stays', async (t) => {
  const {exec, call} = await execWorld(t, {warm: true, idleMs: null});
  await exec.deploy(deploymentOf({'hello.ts': hello}));
  t.is((await call('/hello')).status, 200);
});

test('a host that is replaced before it was ready harms nobody', async (t) => {
  const {exec, call} = await execWorld(t, {warm: true});
  await exec.deploy(deploymentOf({'a.ts': 'return 1'}));
  await exec.deploy(deploymentOf({'a.ts': 'return 2'}));
  t.is(await (await call('/a')).text(), '2');
});

test('a stop interrupts what runs, and its record says so', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(
    deploymentOf({'waits.ts': "fs.writeFileSync('begun', ''); await new Promise(() => {});"}),
  );
  const running = call('/waits').then(async (response) => (await response.json()) as Refusal);
  await begun(home);
  await exec.stop({graceMs: 0});
  t.is((await running).code, 'SCRIPT_HOST_FAILED');
  const [execution] = (await storedExecutions(home)).filter(({script}) => script === 'waits.ts');
  t.is(execution?.status, 'interrupted');
});

async function storedExecutions(home: string): Promise<Execution[]> {
  const store = openExecutionStore(join(home, '../exec/executions.db'), {
    ageDays: 1,
    maxCount: 10,
    maxBytes: 1e9,
  });
  const filter = {script: null, status: null, commit: null, runId: null, sinceMs: null, untilMs: null};
  const executions = store.list({...filter, after: null, limit: 10});
  store.close();
  return executions;
}

async function begun(home: string): Promise<void> {
  while (!existsSync(join(home, 'begun'))) await Bun.sleep(5);
}
