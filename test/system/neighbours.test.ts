import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

/** Asks an address from inside the branch's container: as the script itself, and as a program that it starts. */
const ask = `const url = metadata.query.url;
const curl = await $\`curl -s -o /dev/null -w %{http_code} \${url}\`.nothrow().text();
return {script: (await fetch(url)).status, program: curl};`;

test("S35: a container's kits answer its own processes and refuse those of its neighbours and of the host", async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const controller = await world.up('--repo', repository.path);
  const serve = async (name: string) => {
    const files = {'.hoody/crontab': '0 1 * * * true\n', '.hoody/exec/ask.ts': ask};
    const commit = await repository.commit(name, files, name, {from: null});
    const exec = (await controller.until(name, active(commit))).container?.urls.exec;
    return async (url: string) => (await fetch(`${exec}/ask?url=${encodeURIComponent(url)}`)).json();
  };
  const main = await serve('main');
  const preview = await serve('feature/x');
  const url = `${await kitUrl(world.stateDirectory, 'main')}/users/root/crontab`;
  t.deepEqual(await main(url), {script: 200, program: '200'});
  t.deepEqual(await preview(url), {script: 403, program: '403'});
  t.is((await fetch(url)).status, 403);
});

async function kitUrl(stateDirectory: string, branch: string): Promise<string> {
  const containers = join(stateDirectory, 'containers');
  for (const id of await readdir(containers)) {
    const record = JSON.parse(await readFile(join(containers, id, 'container.json'), 'utf8'));
    if (record.name.startsWith(`${branch}-`)) return record.process.kit_url;
  }
  throw new Error(`no container of ${branch}`);
}
