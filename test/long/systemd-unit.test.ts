import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import anyTest from 'ava';
import {checkout} from '../helpers/command-world.ts';
import {startSystemdMachine, systemdSkipReason} from '../helpers/systemd-machine.ts';

const skips = systemdSkipReason();
if (skips !== null) console.log(`SKIP systemd reason=${skips}`);
const test = skips === null ? anyTest : anyTest.skip;

/** The commands below a heading of docs/install.md, without their comments. */
async function documented(heading: string): Promise<string[]> {
  const text = await readFile(join(checkout, 'docs/install.md'), 'utf8');
  const section = text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, commands]) => commands ?? '');
}

test('the documented commands install the unit, which restarts and stops without its jobs, and remove it', async (t) => {
  t.timeout(900_000);
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-unit-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const program = join(directory, 'branchtab');
  const build = spawn(process.execPath, [join(checkout, 'cli/build.ts'), program], {stdio: 'ignore'});
  t.is((await once(build, 'exit'))[0], 0);
  const [install = '', end = '', remove = ''] = await documented('systemd');
  const {sh, copyIn} = await startSystemdMachine(t);
  await copyIn(program, '/root/branchtab-linux-x64');
  await copyIn(join(checkout, 'deploy/branchtab.service'), '/root/deploy/branchtab.service');
  await sh(`cd /root
echo 'repositories: [/srv/shop.git]' > branchtab.yaml
git init --quiet --initial-branch=main shop && cd shop
mkdir -p .hoody/exec && echo "return 'hello';" > .hoody/exec/hello.ts
echo '* * * * * date >> ticks' > .hoody/crontab
git add . && git -c user.name=a -c user.email=a@example.org commit --quiet --message=first
git clone --quiet --bare . /srv/shop.git`);
  t.regex(install, /systemctl enable --now branchtab/);
  await sh(
    `cd /root\n${install.replace('systemctl enable', 'chown -R branchtab /srv/shop.git\nsystemctl enable')}`,
  );
  t.is(await sh('systemd-analyze verify /etc/systemd/system/branchtab.service 2>&1'), '');

  const runtime = () =>
    sh(
      'cat /sys/fs/cgroup/system.slice/branchtab.service/cgroup.procs | while read p; do if grep -qzx -- --boot /proc/$p/cmdline; then echo $p; fi; done',
    );
  const untilRunning = () =>
    sh(
      'for i in $(seq 120); do branchtab status --state /var/lib/branchtab | grep -q running && exit; sleep 1; done; exit 1',
    );
  await untilRunning();
  const before = await runtime();
  t.regex(before, /\d/);
  await sh('systemctl reload branchtab && systemctl restart branchtab');
  await untilRunning();
  t.is(await runtime(), before);
  const id = (await sh('ls /var/lib/branchtab/containers')).trim();
  t.is((await sh(`curl -s http://127.0.0.1:7070/c/${id}/exec/hello`)).trim(), 'hello');

  await sh('systemctl stop branchtab');
  t.is(await runtime(), before);
  // No controller is there; the next minute's job runs all the same.
  await sh(`cd /var/lib/branchtab/containers/${id}/data
former=$(cat ticks 2>/dev/null | wc -l)
for i in $(seq 150); do [ "$(cat ticks 2>/dev/null | wc -l)" -gt $former ] && exit; sleep 1; done; exit 1`);
  await sh(end);
  t.is((await runtime()).trim(), '');

  await sh(remove);
  t.is(await sh('ls -d /var/lib/branchtab /etc/branchtab /usr/local/bin/branchtab 2>/dev/null || true'), '');
  t.is(await sh('find /sys/fs/cgroup -name "branchtab*"'), '');
});
