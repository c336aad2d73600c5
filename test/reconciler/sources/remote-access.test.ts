import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openRemoteSource} from '../../../reconciler/sources/git-remote.ts';
import type {RemoteAccess} from '../../../reconciler/sources/remote-access.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import {serveOverHttp} from '../../helpers/git-http.ts';
import {hasSshServer, serveOverSsh} from '../../helpers/git-ssh.ts';
import {createPushWorld, type GitWorld} from '../../helpers/git-world.ts';

const signal = AbortSignal.timeout(100_000);
const secret = 'hunter2-%27$(id)-ü';
const authorization = `Basic ${Buffer.from(`robot:${secret}`).toString('base64')}`;
const forms = [secret, authorization.slice('Basic '.length), encodeURIComponent(secret)];

async function open(t: ExecutionContext, world: GitWorld, url: string, access: RemoteAccess) {
  const source = await openRemoteSource({
    url,
    access,
    mirrorDirectory: join(world.directory, 'mirror'),
    environment: {...world.environment, SSH_AUTH_SOCK: ''},
    clock: systemClock,
    log: silentLog,
  });
  t.teardown(() => source.close());
  return source;
}

/** Command lines of all processes, as any user of the machine sees them. */
async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  return (await Promise.all(lines)).join('\n');
}

async function textBelow(directory: string): Promise<string> {
  const files = await readdir(directory, {recursive: true, withFileTypes: true});
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFile(join(file.parentPath, file.name), 'latin1'));
  return (await Promise.all(texts)).join('\n');
}

const withoutSecret = (t: ExecutionContext, text: string, where: string) => {
  for (const form of forms) t.false(text.includes(form), where);
};

interface HttpCase {
  readonly title: string;
  access(world: GitWorld, url: string): Promise<RemoteAccess>;
}

const overHttp: readonly HttpCase[] = [
  {
    title: 'a token',
    access: async () => ({kind: 'token', user: 'robot', read: async () => secret}),
  },
  {
    title: 'a credential helper',
    async access(world) {
      const helper = join(world.directory, 'helper');
      await writeFile(helper, `#!/bin/sh\nprintf '%s\\n' username=robot 'password=${secret}'\n`, {
        mode: 0o755,
      });
      return {kind: 'helper', helper};
    },
  },
];

for (const {title, access} of overHttp) {
  test(`by ${title}: clone, fetch and poll, and nobody sees the secret`, async (t) => {
    const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
    await origin.git('config', 'uploadpack.allowFilter', 'true');
    const seen: string[] = [];
    const onRequest = async () => void seen.push(await commandLines());
    const url = await serveOverHttp(t, origin, {authorization, onRequest});
    const source = await open(t, origin, url, await access(origin, url));
    t.is((await source.list({signal})).branches.size, 3);
    const commit = await push('main', {'a.txt': 'a'});
    t.is((await source.list({signal})).branches.get('main'), commit);
    t.is((await source.readHoody(commit, {signal}))?.files.length, 2);
    t.is((await source.list({signal})).branches.get('main'), commit);
    t.true(seen.length > 5 && seen.some((lines) => lines.includes('ls-remote')), 'git was seen at work');
    withoutSecret(t, seen.join('\n'), 'process arguments');
    withoutSecret(t, await textBelow(join(origin.directory, 'mirror')), 'the mirror');
  });
}

test('a token is read anew for each command, and one that is refused is not shown', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const url = await serveOverHttp(t, origin, {authorization});
  let token = 'outdated-password';
  const source = await open(t, origin, url, {kind: 'token', user: 'robot', read: async () => token});
  const error = await t.throwsAsync(source.list({signal}), {instanceOf: AppError});
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  t.regex(error.message, /credentials/);
  t.false(JSON.stringify([error.message, error.details, error.stack, String(error.cause)]).includes(token));
  token = secret;
  t.is((await source.list({signal})).branches.size, 3);
});

test("helpers of the user's own configuration are not asked", async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const url = await serveOverHttp(t, origin, {authorization});
  const asked = join(origin.directory, 'asked');
  const home = origin.environment.HOME ?? '';
  await mkdir(home, {recursive: true});
  await writeFile(join(home, '.gitconfig'), `[credential]\n\thelper = "!touch ${asked};:"\n`);
  const source = await open(t, origin, url, {
    kind: 'helper',
    helper: '!printf "password=wrong\\nusername=x\\n";:',
  });
  const error = await t.throwsAsync(source.list({signal}), {instanceOf: AppError});
  t.regex(error.message, /Authentication failed/);
  t.false(await Bun.file(asked).exists());
});

test('credentials go with the addresses that they are for', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const token: RemoteAccess = {kind: 'token', user: 'robot', read: async () => secret};
  const key: RemoteAccess = {kind: 'ssh_key', keyFile: '/key', knownHostsFile: null};
  for (const [url, access] of [
    ['https://me:pass@host/app.git', token],
    ['ssh://host/app.git', token],
    ['git@host:app.git', {kind: 'helper', helper: 'store'}],
    ['https://host/app.git', key],
    ['file:///srv/app.git', key],
  ] as const) {
    const error = await t.throwsAsync(open(t, origin, url, access), {instanceOf: AppError}, url);
    t.is(error.code, 'CONFIG_INVALID');
    t.regex(error.message, /^credentials of /);
    t.notRegex(error.message, /pass@|hunter2/);
  }
});

const overSsh = (await hasSshServer()) ? test : test.skip;

overSsh('over ssh with a key file: clone, fetch and poll, the mirror without contents', async (t) => {
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  await origin.git('config', 'uploadpack.allowFilter', 'true');
  const {url, keyFile, knownHostsFile} = await serveOverSsh(t, origin);
  const source = await open(t, origin, url, {kind: 'ssh_key', keyFile, knownHostsFile});
  t.is((await source.list({signal})).branches.size, 3);
  const commit = await push('main', {'a.txt': 'a', 'unread.txt': 'u'});
  t.is((await source.list({signal})).branches.get('main'), commit);
  t.is((await source.readHoody(commit, {signal}))?.files.length, 2);
  const mirror = ['--git-dir', join(origin.directory, 'mirror')];
  const objects = await origin.git(...mirror, 'cat-file', '--batch-all-objects', '--batch-check');
  t.is(objects.split('\n').filter((line) => line.includes(' blob ')).length, 2);
  t.is((await source.list({signal})).branches.get('main'), commit);
});

overSsh('over ssh, a wrong key and an unknown host are errors at once, not questions', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const {url, keyFile, knownHostsFile} = await serveOverSsh(t, origin);
  const nobody = join(origin.directory, 'empty');
  await writeFile(nobody, '');
  for (const access of [
    {kind: 'ssh_key', keyFile: join(origin.directory, 'no-such-key'), knownHostsFile},
    {kind: 'ssh_key', keyFile, knownHostsFile: nobody},
  ] as const) {
    const source = await open(t, origin, url, access);
    const error = await t.throwsAsync(source.list({signal}), {instanceOf: AppError});
    t.is(error.code, 'REPOSITORY_UNREADABLE');
    t.regex(error.message, /credentials|host key/i);
  }
});
