import test from 'ava';
import {execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';

const api = '/api/v1/exec';

test('a script is written, moved, shown in the tree and deleted over HTTP', async (t) => {
  const {json, request} = await execHttp(t);
  t.like(await json('POST', `${api}/scripts/write`, {path: 'a.ts', content: 'return "a"'}), {
    status: 200,
    body: {path: 'a.ts', created: true, updated: false, size: 10, validated: true},
  });
  t.like(await json('POST', `${api}/scripts/move`, {from: 'a.ts', to: 'deep/b.ts'}), {
    body: {moved: true, from: 'a.ts', to: 'deep/b.ts'},
  });
  t.like(await json('POST', `${api}/scripts/tree`, {}), {
    body: {baseDir: '', tree: {0: {path: 'deep', type: 'directory', children: {0: {path: 'deep/b.ts'}}}}},
  });
  t.is(await (await request('GET', '/deep/b')).text(), 'a');
  t.like(await json('DELETE', `${api}/scripts/delete?path=deep/b.ts&confirm=true`), {
    body: {deleted: true, path: 'deep/b.ts', size: 10},
  });
});

const hostilePaths = [
  '../escape.ts',
  '/etc/cron.d/x.ts',
  'a/../../b.ts',
  'a//b.ts',
  'a/./b.ts',
  'a\\..\\b.ts',
  'a\u0000.ts',
  'line\nbreak.ts',
  '',
  'x'.repeat(2000),
];

test('no path leaves the scripts: write, move, read, delete, tree and comments refuse it', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': 'return 1'}));
  const digest = exec.digest();
  for (const path of hostilePaths) {
    const query = encodeURIComponent(path);
    for (const answer of [
      await json('POST', `${api}/scripts/write`, {path, content: ''}),
      await json('POST', `${api}/scripts/move`, {from: 'a.ts', to: path}),
      await json('POST', `${api}/scripts/move`, {from: path, to: 'b.ts'}),
      await json('GET', `${api}/scripts/read?path=${query}`),
      await json('DELETE', `${api}/scripts/delete?path=${query}&confirm=true`),
      await json('GET', `${api}/magic-comments/read?path=${query}`),
      await json('PUT', `${api}/magic-comments/update`, {path, comments: {label: 'x'}}),
      ...(/^\/?$|^\/etc/.test(path) ? [] : [await json('POST', `${api}/scripts/tree`, {baseDir: path})]),
    ]) {
      t.is(answer.status, 400, JSON.stringify(path));
    }
  }
  t.is(exec.digest(), digest);
});

for (const segment of ['node_modules', '.git', '.hoody-cache', '_sdk', '_hoody']) {
  test(`${segment} is excluded at any depth`, async (t) => {
    const {json, exec} = await execHttp(t);
    await exec.deploy(deploymentOf({'a.ts': ''}));
    for (const path of [`${segment}/x.ts`, `deep/${segment}/x.ts`]) {
      for (const answer of [
        await json('POST', `${api}/scripts/write`, {path, content: ''}),
        await json('GET', `${api}/scripts/read?path=${path}`),
        await json('POST', `${api}/scripts/move`, {from: 'a.ts', to: path}),
        await json('POST', `${api}/route/resolve`, {path}),
      ]) {
        t.like(answer, {
          status: 403,
          body: {code: 'PATH_EXCLUDED', message: 'Path is excluded from access'},
        });
      }
    }
  });
}

test('what does not parse is refused with its position, and written where validate is false', async (t) => {
  const {json} = await execHttp(t);
  t.like(await json('POST', `${api}/scripts/write`, {path: 'a.ts', content: 'return {'}), {
    status: 400,
    body: {
      code: 'SCRIPT_INVALID',
      message: 'Script validation failed',
      details: {validation: {0: {line: 1, column: 9}}},
    },
  });
  t.like(await json('POST', `${api}/scripts/write`, {path: 'a.json', content: '{'}), {
    status: 400,
    body: {message: 'Invalid JSON'},
  });
  t.like(await json('POST', `${api}/scripts/write?validate=false`, {path: 'a.ts', content: 'return {'}), {
    status: 200,
    body: {validated: false},
  });
  t.like(await json('POST', `${api}/scripts/write`, {path: 'notes.md', content: '{'}), {status: 200});
});

test('bodies that are no JSON, of a wrong form or too large are refused', async (t) => {
  const {json, request} = await execHttp(t);
  for (const [method, path] of [
    ['POST', 'scripts/write'],
    ['POST', 'scripts/move'],
    ['POST', 'scripts/tree'],
    ['POST', 'validate/script'],
    ['POST', 'route/resolve'],
    ['POST', 'route/test'],
    ['PUT', 'magic-comments/update'],
    ['POST', 'magic-comments/bulk-update'],
  ] as const) {
    t.like(await json(method, `${api}/${path}`, '{'), {status: 400, body: {code: 'INVALID_JSON'}}, path);
    t.like(await json(method, `${api}/${path}`, '[]'), {status: 400, body: {code: 'INVALID_BODY'}}, path);
  }
  const large = await request('POST', `${api}/scripts/write`, 'x'.repeat(17 * 1024 * 1024));
  t.is(large.status, 413);
  const script = {path: 'a.ts', content: ' '.repeat(8 * 1024 * 1024 + 1)};
  t.like(await json('POST', `${api}/scripts/write`, script), {status: 400, body: {code: 'INVALID_BODY'}});
});

test('deployments are listed for all and changed by the controller only', async (t) => {
  const outside = await execHttp(t);
  await outside.exec.deploy(deploymentOf({'a.ts': ''}, {commit: 'c'.repeat(40)}));
  t.like(await outside.json('GET', `${api}/deployments`), {
    status: 200,
    body: {deployments: {0: {commit: 'c'.repeat(40), current: true}}},
  });
  const rollback = {commit: 'c'.repeat(40)};
  t.is((await outside.json('POST', `${api}/deployments/rollback`, rollback)).status, 404);
  t.is((await outside.json('PUT', `${api}/deployments`, deploymentOf({}))).status, 404);
  const inside = await execHttp(t, {trusted: true});
  t.is((await inside.json('PUT', `${api}/deployments`, deploymentOf({}, rollback))).status, 200);
  t.is((await inside.json('POST', `${api}/deployments/rollback`, rollback)).status, 200);
  t.like(await inside.json('POST', `${api}/deployments/rollback`, {commit: '1234567'}), {
    status: 404,
    body: {code: 'VERSION_NOT_FOUND'},
  });
  t.is((await inside.json('POST', `${api}/deployments/rollback`, {})).status, 400);
});

test('a list takes flags and refuses what is none', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': '// @enabled false', 'b.ts': ''}));
  t.like(await json('GET', `${api}/scripts/list?enabled=false`), {
    body: {count: 1, filters: {enabled: false}},
  });
  t.like(await json('GET', `${api}/scripts/list?enabled=perhaps`), {
    status: 400,
    body: {code: 'INVALID_QUERY'},
  });
  t.is((await json('GET', `${api}/scripts/list?mode=fast`)).status, 400);
});
