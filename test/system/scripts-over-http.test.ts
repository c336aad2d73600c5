import {writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld, isTrue, type RunningController} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

async function write(exec: string, path: string, content: string): Promise<Response> {
  return fetch(`${exec}/api/v1/exec/scripts/write`, {method: 'POST', body: JSON.stringify({path, content})});
}

/** Resolves when these scripts, and no others, are there. */
async function untilScripts(exec: string, wanted: Readonly<Record<string, string>>): Promise<void> {
  for (;;) {
    const listed = await fetch(`${exec}/api/v1/exec/scripts/list`);
    const {scripts} = (await listed.json()) as {scripts: {path: string}[]};
    const contents = await Promise.all(
      scripts.map(async ({path}) => {
        const read = await fetch(`${exec}/api/v1/exec/scripts/read?path=${path}`);
        return [path, ((await read.json()) as {content: string}).content];
      }),
    );
    if (JSON.stringify(Object.fromEntries(contents)) === JSON.stringify(wanted)) return;
  }
}

async function execOf(controller: RunningController, commit: string): Promise<string> {
  const branch = await controller.until('main', active(commit));
  return branch.container?.urls.exec ?? '';
}

test('a script written over HTTP into a container of a branch is put back', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {'.hoody/exec/hello.ts': 'return "branch"'});
  const exec = await execOf(controller, commit);
  t.is((await write(exec, 'intruder.ts', 'return 1')).status, 200);
  t.is((await write(exec, 'hello.ts', 'return "changed"')).status, 200);
  await untilScripts(exec, {'hello.ts': 'return "branch"'});
  t.is(await (await fetch(`${exec}/hello`)).text(), 'branch');
});

test('with drift: report a written script stays until the next push, and the branch says so', async (t) => {
  const world = await createControllerWorld(t);
  await writeFile(join(dirname(world.stateDirectory), 'branchtab.yaml'), 'drift: report\n');
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {'.hoody/exec/hello.ts': 'return "branch"'});
  const exec = await execOf(controller, commit);
  t.is((await write(exec, 'extra.ts', 'return "kept"')).status, 200);
  await controller.until('main', ({conditions}) =>
    conditions.some(({type, reason}) => type === 'Ready' && reason === 'drifted'),
  );
  t.is(await (await fetch(`${exec}/extra`)).text(), 'kept');
  const next = await repository.commit('main', {'.hoody/exec/hello.ts': 'return "next"'});
  const branch = await controller.until('main', active(next));
  t.true(isTrue(branch, 'Ready'));
  await untilScripts(exec, {'hello.ts': 'return "next"'});
});

test('S11 S12: a script, SQL over HTTP and files share the data directory of their branch alone', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const script = [
    "import {Database} from 'bun:sqlite';",
    "const db = new Database('events.db');",
    "db.run('CREATE TABLE IF NOT EXISTS events(name TEXT)');",
    "db.run('INSERT INTO events VALUES (?)', [await Bun.file('name.txt').text()]);",
    "return 'stored'",
  ].join('\n');
  const main = await repository.commit('main', {'.hoody/exec/store.ts': script});
  const other = await repository.commit('other', {'.hoody/exec/store.ts': script});
  const urlOf = async (name: string, commit: string, kit: string) => {
    const {container} = await controller.until(name, active(commit));
    return (container?.urls.exec ?? '').replace(/exec$/, kit);
  };
  const files = await urlOf('main', main, 'files');
  const sqlite = await urlOf('main', main, 'sqlite');
  const put = await fetch(`${files}/api/v1/files/name.txt`, {method: 'PUT', body: 'signup'});
  t.is(put.status, 201);
  t.is(await (await fetch(`${await urlOf('main', main, 'exec')}/store`)).text(), 'stored');
  const query = `api/v1/sqlite/query?db=events.db&sql=${encodeURIComponent('SELECT name FROM events')}`;
  t.like(await (await fetch(`${sqlite}/${query}`)).json(), {resultSet: {length: 1, 0: {name: 'signup'}}});
  const key = `${sqlite}/api/v1/sqlite/kv/runs/incr?db=events.db`;
  for (const value of [1, 2]) t.like(await (await fetch(key, {method: 'POST'})).json(), {value});
  const name = `${files}/api/v1/files/name.txt`;
  const patched = await fetch(name, {method: 'PATCH', headers: {'x-update-range': 'append'}, body: 's\n'});
  t.is(patched.status, 200);
  t.is(await (await fetch(`${name}?lines=1`)).text(), 'signups\n');
  const elsewhere = await fetch(`${await urlOf('other', other, 'sqlite')}/${query}`);
  t.like(await elsewhere.json(), {code: 'DATABASE_NOT_FOUND'});
});
