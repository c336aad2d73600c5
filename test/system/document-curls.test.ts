import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import * as z from 'zod';
import {
  entryItemSchema,
  entryListSchema,
  managedEntrySchema,
  reportedCrontabSchema,
} from '../../schemas/cron-api.ts';
import {runListSchema} from '../../schemas/run.ts';
import {startRuntime} from '../helpers/runtime-process.ts';

/**
 * The shell lines of the public documents against a real runtime. Only the names of their hosts are led to it, TLS
 * is left out, and instants lie in the future.
 */
async function setup(t: ExecutionContext) {
  const {directory, url} = await startRuntime(t, ['--allow-host', '*.hoody.com']);
  const {host} = new URL(url);
  const home = join(directory, 'curl');
  await mkdir(join(home, '.hoody'), {recursive: true});
  await writeFile(join(home, '.curlrc'), `connect-to = "::${host}"\nsilent\nshow-error\n`);
  const shell = async (script: string, variables: Record<string, string> = {}) => {
    const child = Bun.spawn({
      cmd: ['sh', '-euc', script],
      cwd: home,
      env: {PATH: '/usr/bin:/bin', HOME: home, CURL_HOME: home, ...variables},
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (code !== 0) throw new Error(`${code}: ${stderr}${stdout}`);
    return stdout;
  };
  return {home, shell};
}

/** What `curl -i` prints, in parts. */
function answered<T>(output: string, schema: z.ZodType<T>) {
  const [head = '', body = ''] = output.split(/\r?\n\r?\n/, 2);
  return {status: head.split('\n', 1)[0]?.trim(), body: schema.parse(JSON.parse(body))};
}

const inTwoDays = () => new Date(Date.now() + 48 * 3_600_000).toISOString();

test('S24 S26 S29 S30: the checked-in crontab is PUT to the container of the branch', async (t) => {
  const {home, shell} = await setup(t);
  const crontab = await readFile('fixtures/crontabs/valid/branch-bound.crontab', 'utf8');
  await writeFile(join(home, '.hoody/crontab'), crontab);
  const output = await shell(
    `curl -i -X PUT --data-binary @.hoody/crontab \\
-H "Content-Type: text/plain" \\
http://$CTR-cron-1.hoody.com/users/root/crontab`,
    {CTR: 'ctr_4d72b9'},
  );
  const {status, body} = answered(output, reportedCrontabSchema);
  t.is(status, 'HTTP/1.1 200 OK');
  t.like(body, {user: 'root', crontab, removed_expired: 0});
  t.is(body.jobs.length, 4);
  const back = await shell('curl -H "Accept: text/plain" http://$CTR-cron-1.hoody.com/users/root/crontab', {
    CTR: 'ctr_4d72b9',
  });
  t.is(back, crontab);
});

test('S3 S4 S20: the nightly rollup is one POST', async (t) => {
  const {shell} = await setup(t);
  const output = await shell(`curl -i -X POST http://oncall.containers.hoody.com/users/root/entries \\
-H "Content-Type: application/json" \\
-d '{
"schedule": "0 1 * * *",
"command": "curl -fsS https://exec.containers.hoody.com/scripts/rollup/run"
}'`);
  const {status, body} = answered(output, managedEntrySchema);
  t.is(status, 'HTTP/1.1 201 Created');
  t.like(body, {user: 'root', schedule: '0 1 * * *', enabled: true, timezone: 'UTC'});
  t.regex(body.next_run ?? '', /T01:00:00\.000Z$/);
});

test('S43 S45 S46 S57: an on-call entry of me, and the list without it', async (t) => {
  const {shell} = await setup(t);
  const expiresAt = inTwoDays();
  const output = await shell(`curl -i -X POST \\
http://oncall.containers.hoody.com/users/me/entries \\
-H "Content-Type: application/json" \\
-d '{"schedule":"*/30 * * * *","command":"curl -fsS hoody-notifications/push/m.dossantos","comment":"on-call wk19","expires_at":"${expiresAt}"}'`);
  const {status, body} = answered(output, managedEntrySchema);
  t.is(status, 'HTTP/1.1 201 Created');
  t.like(body, {expires_at: expiresAt, enabled: true, comment: 'on-call wk19'});
  const list = JSON.parse(await shell('curl http://oncall.containers.hoody.com/users/me/entries'));
  t.deepEqual(
    entryListSchema.parse(list).entries.map((item) => item.type === 'managed' && item.id),
    [body.id],
  );
  await shell(`curl -f -X DELETE http://oncall.containers.hoody.com/users/me/entries/${body.id.slice(0, 4)}`);
  t.like(JSON.parse(await shell('curl http://oncall.containers.hoody.com/users/me/entries')), {total: 0});
});

test('S51 S52: the command of the on-call entry fills one inbox, and that of me another', async (t) => {
  const {shell} = await setup(t);
  const pushed: unknown = JSON.parse(await shell('curl -fsS hoody-notifications/push/m.dossantos'));
  t.like(pushed, {display_id: 'm.dossantos', summary: 'ping from this container'});
  t.like(JSON.parse(await shell('curl -fsS hoody-notifications/push/me')), {display_id: 'root'});
  const inbox: unknown = JSON.parse(await shell('curl -fsS hoody-notifications/inbox/m.dossantos'));
  t.deepEqual(inbox, {inbox: 'm.dossantos', count: 1, notifications: [pushed]});
});

test('S44: the bracketed body of the page is told to be no JSON', async (t) => {
  const {shell} = await setup(t);
  const output = await shell(`curl -i -X POST http://oncall.containers.hoody.com/users/me/entries \\
-H "Content-Type: application/json" -d '["schedule":"*/30 * * * *"]'`);
  const {status, body} = answered(output, z.object({code: z.string()}));
  t.is(status, 'HTTP/1.1 400 Bad Request');
  t.is(body.code, 'INVALID_JSON');
});

test('S47 S59 S62 S63 S64 S67: below the prefix the list is an array, and at its end the entry is gone', async (t) => {
  const {shell} = await setup(t);
  const entries = 'http://cron.containers.hoody.com/api/v1/cron/users/me/entries';
  const post = (body: string) =>
    shell(`curl -i -X POST ${entries} -H "Content-Type: application/json" -d '${body}'`);
  const kept = answered(await post('{"schedule":"@daily","command":"true"}'), managedEntrySchema).body;
  const endMs = Date.now() + 1500;
  const short = answered(
    await post(
      `{"schedule":"* * * * *","command":"pgrep auth | tee -a tree.log","expires_at":"${new Date(endMs).toISOString()}"}`,
    ),
    managedEntrySchema,
  );
  t.is(short.status, 'HTTP/1.1 201 Created');
  const idsOf = async () => {
    const items = z.array(entryItemSchema).parse(JSON.parse(await shell(`curl ${entries}`)));
    return items.map((item) => (item.type === 'managed' ? [item.id, item.expires_at !== null] : null));
  };
  t.deepEqual(await idsOf(), [
    [kept.id, false],
    [short.body.id, true],
  ]);
  await Bun.sleep(endMs - Date.now() + 5);
  t.deepEqual(await idsOf(), [[kept.id, false]]);
  const runs = await shell(
    `curl http://cron.containers.hoody.com/api/v1/cron/users/me/runs?entry=${short.body.id}`,
  );
  t.notThrows(() => runListSchema.parse(JSON.parse(runs)));
});

test('metrics and the description answer on a neutral host, on the host of the kit and below its prefix', async (t) => {
  const {shell} = await setup(t);
  const hosts = ['oncall.hoody.com', 'ctr_1-cron-1.hoody.com', 'oncall.hoody.com/api/v1/cron'];
  for (const host of hosts) {
    t.regex(await shell(`curl -f http://${host}/metrics`), /^# HELP branchtab_cron_/);
    t.like(JSON.parse(await shell(`curl -f http://${host}/openapi.json`)), {openapi: '3.1.0'});
    t.regex(await shell(`curl -f http://${host}/openapi.yaml`), /^openapi: 3\.1\.0\n/);
  }
});
