import {request} from 'node:http';
import test from 'ava';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const manifest = ['version: 1', 'scripts:', '  - path: reports/[day]', '    file: src/daily.ts', ''].join(
  '\n',
);

test('S93: a pushed manifest serves a file of the repository, and its former commit stays at a pinned URL', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const first = await repository.commit('main', {
    '.hoody/exec/reports.yaml': manifest,
    'src/daily.ts': "import {name} from './name.ts';\nreturn {name, day: metadata.parameters.day}",
    'src/name.ts': "export const name = 'first'",
  });
  const branch = await controller.until('main', active(first));
  const exec = branch.container?.urls.exec ?? '';
  t.deepEqual(await get(`${exec}/reports/monday`), {name: 'first', day: 'monday'});

  const second = await repository.commit('main', {'src/name.ts': "export const name = 'second'"});
  await controller.until('main', active(second));
  t.deepEqual(await get(`${exec}/reports/monday`), {name: 'second', day: 'monday'});
  t.deepEqual(await get(`${exec}/@${first}/reports/monday`), {name: 'first', day: 'monday'});

  const unchanged = await repository.commit('main', {'README.md': 'words'});
  await controller.until('main', active(unchanged));
  t.deepEqual(await get(`${exec}/@${unchanged.slice(0, 12)}/reports/x`), {name: 'second', day: 'x'});

  const bad = await repository.commit('main', {'src/name.ts': 'export const name = ;'});
  const stalled = await controller.until(
    'main',
    (now) => now.revision === bad && isTrue(now, 'Stalled') && !isTrue(now, 'Reconciling'),
  );
  const [issue] = stalled.conditions.find(({type}) => type === 'Stalled')?.issues ?? [];
  t.like(issue, {file: 'src/name.ts', line: 1, code: 'script_syntax'});
  t.deepEqual(await get(`${exec}/reports/monday`), {name: 'second', day: 'monday'});
});

function get(url: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request(url, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      resolve(JSON.parse(Buffer.concat(chunks).toString()));
    })
      .on('error', reject)
      .end();
  });
}
