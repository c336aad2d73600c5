import test from 'ava';
import {createActionWorld, payloadOf, type Step} from '../helpers/action-world.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld, type WorldFiles} from '../helpers/git-world.ts';
import {startRuntime} from '../helpers/runtime-process.ts';

const files: WorldFiles = {
  '.hoody/crontab': '0 3 1 1 * echo main\n',
  '.hoody/exec/hello.ts': 'return "hello";\n',
  '.hoody/exec/api/second.ts': 'return "second";\n',
};
const none = '0'.repeat(40);

test('without a controller a commit goes straight into a container, and leaves it with its branch', async (t) => {
  t.timeout(180_000);
  const runtime = await startRuntime(t);
  const git = await createGitWorld(t);
  const action = await createActionWorld(t);
  const run = (step: Step) =>
    action.run({...step, inputs: {'container-url': `${runtime.url}/`, ...step.inputs}, workspace: git.path});
  const push = (after: string, inputs = {}) =>
    run({
      event: 'push',
      payload: payloadOf('push', {ref: 'refs/heads/main', before: none, after}),
      sha: after,
      inputs,
    });
  const text = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${runtime.url}${path}`, {headers: {Accept: 'text/plain'}, ...init});
    return response.ok ? await response.text() : response.status;
  };
  const crontab = () => text('/users/root/crontab');

  const first = await push(await git.commit('main', files));
  t.is(first.code, 0, first.log);
  t.deepEqual([first.outputs.state, first.outputs['exec-url']], ['active', runtime.url]);
  t.true(Number(first.outputs['active-ms']) > 0);
  t.regex(first.summary, /2 script\(s\) and 1 crontab\(s\)/);
  t.regex(first.log, new RegExp(`^::add-mask::${runtime.url}$`, 'm'));
  t.is(await crontab(), '0 3 1 1 * echo main\n');
  t.is(await text('/hello'), 'hello');
  const made = await text('/users/root/entries', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({schedule: '0 4 1 1 *', command: 'true', name: 'by-hand'}),
  });
  t.regex(String(made), /by-hand/);

  const second = await push(
    await git.commit('main', {
      '.hoody/crontab': '0 5 1 1 * echo second\n',
      '.hoody/exec/hello.ts': 'return "hello again";\n',
      '.hoody/exec/api/second.ts': null,
    }),
  );
  t.is(second.code, 0, second.log);
  t.is(await text('/hello'), 'hello again');
  t.is(await text('/api/second'), 404);
  t.regex(String(await crontab()), /^0 5 1 1 \* echo second$/m);
  t.regex(String(await crontab()), /0 4 1 1 \* true/);

  const broken = await push(
    await git.commit('main', {'.hoody/crontab': '61 * * * * x\n', '.hoody/exec/hello.ts': 'return "no";\n'}),
  );
  t.is(broken.code, 1);
  t.regex(broken.log, /^::error file=\.hoody\/crontab,line=1,col=1,title=schedule_invalid::/m);
  t.is(await text('/hello'), 'hello again');

  const mounted = await push(
    await git.commit('main', {
      '.hoody/crontab': '0 3 1 1 * echo main\n',
      '.hoody/exec/x.yaml': 'version: 1\nscripts:\n  - path: x\n    file: lib/x.ts\n',
      'lib/x.ts': 'return 1;\n',
      '.hoody/exec/package-lock.json': '{}\n',
    }),
  );
  t.is(mounted.code, 1);
  t.regex(mounted.log, /^::error file=lib\/x\.ts,line=1,.*only a controller can deploy manifests/m);

  t.regex(mounted.log, /^::error file=\.hoody\/exec\/package-lock\.json,.*npm packages/m);

  const unparsed = await push(
    await git.commit('main', {
      '.hoody/exec/x.yaml': null,
      '.hoody/exec/package-lock.json': null,
      '.hoody/exec/hello.ts': 'return (\n',
    }),
  );
  t.is(unparsed.code, 1);
  t.is(unparsed.outputs.state, 'failed');
  t.is(await text('/hello'), 'hello again');

  const gone = await run({event: 'delete', payload: payloadOf('delete', {ref: 'main', ref_type: 'branch'})});
  t.is(gone.code, 0, gone.log);
  t.is(await text('/hello'), 404);
  t.notRegex(String(await crontab()), /echo/);
  t.regex(String(await crontab()), /0 4 1 1 \* true/);

  const away = await push(await git.commit('main', files), {
    'container-url': 'http://127.0.0.1:9/secret-address',
  });
  t.is(away.code, 1);
  t.regex(away.log, /^::error::Nothing answers at container-url/m);
  t.notRegex(away.log.replace(/^::add-mask::.*$/m, ''), /secret-address/);
});

test('the address of a container behind a controller will do', async (t) => {
  t.timeout(180_000);
  const git = await createGitWorld(t);
  const commit = await git.commit('main', files);
  const world = await createControllerWorld(t);
  const controller = await world.up('--repo', git.path);
  await controller.until('main', active(commit));
  const id = (await world.run('containers', 'create', '--name', 'other')).stdout.trim();
  const action = await createActionWorld(t);
  const containerUrl = `${controller.url}/c/${id.replace('ctr_', '')}`;
  const {code, log} = await action.run({
    event: 'push',
    payload: payloadOf('push', {ref: 'refs/heads/main', before: none, after: commit}),
    sha: commit,
    inputs: {'container-url': containerUrl},
    workspace: git.path,
  });
  t.is(code, 0, log);
  t.is(await (await fetch(`${containerUrl}/exec/hello`)).text(), 'hello');
});
