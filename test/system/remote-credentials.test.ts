import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {serveOverHttp} from '../helpers/git-http.ts';
import {createPushWorld} from '../helpers/git-world.ts';

const secret = 'planted-secret-4711';
const authorization = `Basic ${Buffer.from(`robot:${secret}`).toString('base64')}`;

/** What any process shows of itself: to everybody its arguments, to its own user its environment too. */
async function shownBy(what: 'cmdline' | 'environ', pids: readonly (string | number)[]): Promise<string> {
  const texts = pids.map((pid) => readFile(`/proc/${pid}/${what}`, 'utf8').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

async function textBelow(directory: string): Promise<string> {
  const files = await readdir(directory, {recursive: true, withFileTypes: true});
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFile(join(file.parentPath, file.name), 'latin1').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

test('a token in a file opens a remote, and stands in no state, log, argument or container', async (t) => {
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  await origin.git('config', 'uploadpack.allowFilter', 'true');
  const seen: string[] = [];
  const onRequest = async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    seen.push(await shownBy('cmdline', pids));
  };
  const url = await serveOverHttp(t, origin, {authorization, onRequest});
  const tokenFile = join(origin.directory, 'token');
  await writeFile(tokenFile, `${secret}\n`, {mode: 0o600});
  const config = join(origin.directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [
        {repository: url, credentials: {user: 'robot', token: {from_file: tokenFile}}, branches: ['none/*']},
      ],
      trust_branches: true,
      fetch_interval: '300ms',
    }),
  );
  const world = await createControllerWorld(t);
  const controller = await world.up('--config', config);
  await controller.until('main', ({conditions}) =>
    conditions.some(({type, status}) => type === 'Ready' && status === 'True'),
  );
  const commit = await push('main', {'src/new.ts': 'found by polling'});
  const {container} = await controller.until('main', active(commit));
  const id = container?.id.replace(/^ctr_/, '') ?? '';
  const workspace = join(world.stateDirectory, 'containers', id);
  t.true((await textBelow(workspace)).includes('found by polling'));

  await writeFile(tokenFile, 'refused-secret-4712\n');
  const request = await controller.client.reconcile('main');
  await controller.until('main', ({handled_request}) => handled_request === request);
  const repositories = await controller.client.repositories();
  t.regex(repositories[0]?.error?.message ?? '', /credentials/);

  const environments = await shownBy('environ', await world.processes());
  t.true(environments.includes(id));
  const status = await world.run('status');
  const places = {
    arguments: seen.join('\n'),
    environments,
    state: await textBelow(world.stateDirectory),
    answers: JSON.stringify([await controller.client.branches(), repositories, status]),
  };
  t.true(places.arguments.includes('ls-remote'));
  for (const [place, text] of Object.entries(places))
    for (const form of [secret, 'refused-secret-4712', authorization.slice('Basic '.length)])
      t.false(text.includes(form), `${place} show ${form}`);
});
