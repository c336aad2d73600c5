import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {certificateFiles} from '../helpers/certificates.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('S43 S79 S99: aliases, branches and their readable names are hosts, over HTTPS too, and 404 once the branch is gone', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const directory = join(world.stateDirectory, '..');
  const {certificate, key} = await certificateFiles(t, '*.hoody.example');
  const config = join(directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      domain: 'hoody.example',
      undo_window: '0',
      tls: {listen: '127.0.0.1:0', certificate, key},
      aliases: {
        oncall: {container: 'main', kit: 'cron'},
        prod: {container: 'main', public: true},
        demo: {container: 'feature/try-it', kit: 'exec', public: true},
      },
    }),
  );
  await repository.git('branch', 'feature/try-it', 'main');
  const commit = await repository.commit('feature/try-it', {
    '.hoody/exec/hello.ts': "return 'of the preview';\n",
  });
  const controller = await world.up('--repo', repository.path, '--config', config, '--yes');
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  await controller.until('feature/try-it', active(commit));
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const authorization = {Authorization: `Bearer ${token}`};
  const file = JSON.parse(await readFile(join(world.stateDirectory, 'controller.json'), 'utf8'));
  const secure: string = file.tls_url;
  const ask = (base: string, Host: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`${base}${path}`, {headers: {...headers, Host}, tls: {rejectUnauthorized: false}});

  for (const base of [controller.url, secure]) {
    const entries = '/users/me/entries';
    t.is((await ask(base, 'oncall.hoody.example', entries)).status, 401);
    t.is((await ask(base, 'oncall.hoody.example', entries, authorization)).status, 200);
    t.is((await ask(base, 'prod-cron-1.hoody.example', entries)).status, 200);
    t.is(await (await ask(base, 'demo.hoody.example', '/hello')).text(), 'of the preview');
    t.is((await ask(base, 'feature-try-it-exec-1.hoody.example', '/hello')).status, 401);
    t.is(
      await (await ask(base, 'feature-try-it-exec-1.hoody.example', '/hello', authorization)).text(),
      'of the preview',
    );
    t.is((await ask(base, 'main-cron-1.localhost', entries, authorization)).status, 200);
    t.is((await ask(base, 'nobody.hoody.example', '/hello', authorization)).status, 421);
    t.is((await ask(base, 'nobody-exec-1.hoody.example', '/hello', authorization)).status, 404);
  }
  // A pipe by its alias, from a sender over HTTPS to a receiver over HTTP.
  const received = ask(controller.url, 'prod-pipe.hoody.example', '/replay');
  const sent = fetch(`${secure}/replay`, {
    method: 'PUT',
    body: 'line 1\n',
    headers: {Host: 'prod-pipe.hoody.example'},
    tls: {rejectUnauthorized: false},
  });
  t.is(await (await received).text(), 'line 1\n');
  await (await sent).text();

  await repository.git('branch', '-D', 'feature/try-it');
  await controller.untilForgotten('feature/try-it');
  t.is((await ask(secure, 'demo.hoody.example', '/hello')).status, 404);
});
