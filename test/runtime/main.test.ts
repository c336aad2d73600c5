import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {ControlState} from '../../schemas/control-state.ts';
import {fixtureDeployment} from '../helpers/exec-world.ts';
import {firstLine} from '../helpers/first-line.ts';

interface Runtime {
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
  /** First line of its standard output, or all of it when it ended without one. */
  firstLine(): Promise<string>;
}

function setup(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-main-'));
  const started: Runtime['process'][] = [];
  t.teardown(async () => {
    for (const child of started) child.kill('SIGKILL');
    await Promise.all(started.map(({exited}) => exited));
    rmSync(directory, {recursive: true, force: true});
  });
  const socket = join(directory, 'control.sock');
  const start = (...more: string[]): Runtime => {
    const child = Bun.spawn({
      cmd: [
        process.execPath,
        resolve('runtime/start.ts'),
        'runtime',
        '--data',
        join(directory, 'store'),
        '--listen',
        '127.0.0.1:0',
        ...more,
      ],
      env: {PATH: '/usr/bin:/bin', SECRET_OF_THE_HOST: '1'},
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    started.push(child);
    return {process: child, firstLine: () => firstLine(child.stdout)};
  };
  const startControlled = () => start('--control', `unix:${socket}`, '--container', 'abc', '--boot', 'one');
  const control = (path: string, init: RequestInit = {}) =>
    fetch(`http://runtime${path}`, {unix: socket, ...init});
  return {directory, start, startControlled, control};
}

test('under a controller it is held, prints one ready line and serves both addresses', async (t) => {
  const {startControlled, control} = setup(t);
  const runtime = startControlled();
  const ready = JSON.parse(await runtime.firstLine());
  t.like(ready, {ready: true, pid: runtime.process.pid});
  t.regex(ready.kit_url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const state = (await (await control('/api/v1/control')).json()) as ControlState;
  t.is(state.schedule.state, 'held');
  // This process is none of the container's.
  t.is((await fetch(`${ready.kit_url}/healthz`)).status, 403);
  t.is(await (await control('/healthz')).text(), 'ok\n');
});

test('deployment, variables and schedule survive kill -9', async (t) => {
  const {startControlled, control} = setup(t);
  const first = startControlled();
  await first.firstLine();
  const put = (path: string, body: unknown) => control(path, {method: 'PUT', body: JSON.stringify(body)});
  const deployment = fixtureDeployment('environment.ts');
  await put('/api/v1/exec/deployments', deployment);
  await put('/api/v1/control/environment', {revision: 'abc', variables: {HOODY_BRANCH: 'main'}});
  await put('/api/v1/control/schedule', {state: 'running'});
  first.process.kill('SIGKILL');
  await first.process.exited;
  await startControlled().firstLine();
  const state = (await (await control('/api/v1/control')).json()) as ControlState;
  t.like(state, {
    schedule: {state: 'running'},
    deployment: {digest: deployment.digest},
    environment: {revision: 'abc'},
  });
  const answer = (await (await control('/environment')).json()) as {environment: Record<string, string>};
  t.like(answer.environment, {HOODY_BRANCH: 'main', BRANCHTAB_CONTAINER: 'abc', TZ: 'UTC'});
  t.false('SECRET_OF_THE_HOST' in answer.environment);
});

test('a second runtime on the same data is refused with a reason', async (t) => {
  const {start} = setup(t);
  await start().firstLine();
  const second = start();
  t.is(await second.process.exited, 1);
  t.regex(await new Response(second.process.stderr).text(), /Another runtime uses .*store/);
});

test('alone it prints its address, runs the schedule at once and stops on SIGTERM', async (t) => {
  const {start} = setup(t);
  const runtime = start();
  const url = /http:\S+/.exec(await runtime.firstLine())?.[0] ?? '';
  t.is((await fetch(`${url}/users/root/crontab`)).status, 200);
  runtime.process.kill('SIGTERM');
  t.is(await runtime.process.exited, 0);
});

test('its script host ends with it, also when it is killed', async (t) => {
  const {startControlled, control} = setup(t);
  const runtime = startControlled();
  await runtime.firstLine();
  const body = JSON.stringify(fixtureDeployment('shared.ts'));
  await control('/api/v1/exec/deployments', {method: 'PUT', body});
  const {pid} = (await (await control('/shared')).json()) as {pid: number};
  runtime.process.kill('SIGKILL');
  await runtime.process.exited;
  while (isAlive(pid)) await Bun.sleep(5);
  t.pass();
});

test('flags that make no sense are refused with the usage', async (t) => {
  const {start} = setup(t);
  for (const flags of [['--tz', 'Mars/Base'], ['--control', '127.0.0.1:1'], ['--unknown']]) {
    const runtime = start(...flags);
    t.is(await runtime.process.exited, 2);
    t.regex(await new Response(runtime.process.stderr).text(), /usage: branchtab runtime/);
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH is the answer that is waited for.
    return false;
  }
}
