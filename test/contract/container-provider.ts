import {existsSync} from 'node:fs';
import {chmod, mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {
  Container,
  ContainerEvent,
  ContainerProvider,
  Reach,
} from '../../reconciler/containers/provider.ts';
import {AppError} from '../../schemas/errors.ts';

/** One test's own world: a state directory with a provider on it, torn down afterwards. */
export interface ProviderWorld {
  readonly provider: ContainerProvider;
  /** Another provider on the same state, as a controller has after a restart. */
  reopen(): Promise<ContainerProvider>;
  /** Does `work` in a process of its own and kills that process with SIGKILL afterwards. */
  startInProcessThatIsKilled(name: string): Promise<void>;
  /** The container's directories as the host sees them. */
  directories(id: string): {readonly data: string; readonly workspace: string};
  /** Files of the host that no container has: of the state directory and of the person who runs the controller. */
  readonly outside: {readonly state: string; readonly credentials: string};
  /** True while a process carries `text` in its command line. */
  runs(text: string): Promise<boolean>;
  /** False where nothing that runs can be made to stand still for a snapshot. */
  readonly freezes?: boolean;
}

export interface ContractOptions {
  readonly name: string;
  setup(t: ExecutionContext): Promise<ProviderWorld>;
  /** Why the implementation cannot be tested here; null when it can. */
  readonly skipReason: string | null;
  /** False for one that serves its containers in its own process: what is about processes does not apply to it. */
  readonly hasProcesses?: boolean;
  /** False for one whose containers run on another machine, so that nobody can look after what a runtime says of itself. */
  readonly seesProcesses?: boolean;
}

/** Marked as runtimes mark their jobs, so that these go first; answers the shell's word for a child that was killed. */
const eatMemory =
  '(echo 500 >/proc/self/oom_score_adj; exec dd bs=500M count=1 if=/dev/zero of=/dev/null); echo $?';

/** What container engines give every process, whoever asks them for it. */
const variablesOfEngines = ['HOSTNAME', 'HOME', 'TERM', 'container'];

const noGrace = {graceMs: 0, reason: 'test'};

/** Registers the tests that every container provider passes, on a runtime that is `test/helpers/stub-runtime.ts`. */
export function registerContainerProviderContract({
  name,
  setup,
  skipReason,
  hasProcesses = true,
  seesProcesses = hasProcesses,
}: ContractOptions): void {
  const test = (skipReason === null ? anyTest : anyTest.skip) as TestFn;
  const testOfProcesses = hasProcesses ? test : (anyTest.skip as TestFn);
  const testOfSeenProcesses = seesProcesses ? test : (anyTest.skip as TestFn);
  const title = (text: string) => `${name}: ${text}`;

  test(title('a new container is stopped, listed and carries its labels'), async (t) => {
    const {provider} = await setup(t);
    const made = await provider.create({name: 'main-1', labels: {'branchtab.branch': 'main'}});
    t.like(made, {name: 'main-1', state: 'stopped', kitUrl: null, labels: {'branchtab.branch': 'main'}});
    t.regex(made.id, /^[0-9a-f]{24}$/);
    t.deepEqual(await provider.list(), [made]);
  });

  test(title('creation is idempotent by name, also when asked twice at once'), async (t) => {
    const {provider} = await setup(t);
    const [first, second] = await Promise.all([
      provider.create({name: 'main-1', labels: {a: '1'}}),
      provider.create({name: 'main-1', labels: {a: '2'}}),
    ]);
    const third = await provider.create({name: 'main-1', labels: {}});
    t.is(first.id, second.id);
    t.is(first.id, third.id);
    t.is((await provider.list()).length, 1);
  });

  for (const hostile of ['', '../etc', 'a/b', 'A', 'x'.repeat(50), 'a\0b', '-\n', 'ü']) {
    test(title(`refuses the container name ${JSON.stringify(hostile.slice(0, 12))}`), async (t) => {
      const {provider} = await setup(t);
      await t.throwsAsync(provider.create({name: hostile, labels: {}}), {code: 'INVALID_NAME'});
      t.deepEqual(await provider.list(), []);
    });
  }

  test(title('a started container answers on both listeners and is running'), async (t) => {
    const {provider} = await setup(t);
    const container = await started(provider);
    t.like(container, {state: 'running', runtimeVersion: '0.0.1-stub'});
    t.is(await overSocket(container, '/health'), 'ok');
    t.is(await overSocket(container, '/fetch', `${container.kitUrl}/health`), 'ok');
    t.true(Buffer.byteLength(container.controlSocket) <= 100);
  });

  test(title('starting a running container does nothing'), async (t) => {
    const {provider} = await setup(t);
    const container = await started(provider);
    const before = await overSocket(container, '/run', 'cat boot-mark');
    const [again] = await Promise.all([provider.start(container.id), provider.start(container.id)]);
    t.deepEqual(again, container);
    t.is(await overSocket(container, '/run', 'cat boot-mark'), before);
  });

  test(title('two containers run side by side, and the address of each leads to itself'), async (t) => {
    const {provider} = await setup(t);
    const [one, two] = await Promise.all([started(provider, 'one'), started(provider, 'two')]);
    for (const each of [one, two]) t.is(await overSocket(each, '/fetch', `${each.kitUrl}/id`), each.id);
    await overSocket(one, '/run', 'echo 1 >mine');
    t.is(await overSocket(two, '/run', 'ls mine'), '');
    await provider.stop(one.id, noGrace);
    t.is(await overSocket(two, '/health'), 'ok');
  });

  test(title('stop lets the runtime end by itself within its grace'), async (t) => {
    const {provider, directories} = await setup(t);
    const container = await started(provider);
    await provider.stop(container.id, {graceMs: 5_000, reason: 'test'});
    t.true(existsSync(`${directories(container.id).data}/stopped-on-sigterm`));
    t.like((await provider.list())[0], {state: 'stopped', kitUrl: null});
    await t.throwsAsync(overSocket(container, '/health'));
  });

  test(title('stop ends a runtime that never ends by itself once its grace is over'), async (t) => {
    const {provider, directories} = await setup(t);
    const made = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(made.id).data}/stub-stop-ms`, '2000000000');
    await provider.start(made.id);
    await provider.stop(made.id, {graceMs: 100, reason: 'test'});
    t.is((await provider.list())[0]?.state, 'stopped');
  });

  test(title('stopping a stopped container does nothing'), async (t) => {
    const {provider} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await provider.stop(id, noGrace);
    t.is((await provider.list())[0]?.state, 'stopped');
  });

  test(title('a stopped container starts again with the files it had'), async (t) => {
    const {provider} = await setup(t);
    const container = await started(provider);
    await overSocket(container, '/run', 'echo kept >file');
    const mark = await overSocket(container, '/run', 'cat boot-mark');
    await provider.stop(container.id, noGrace);
    const again = await provider.start(container.id);
    t.is(await overSocket(again, '/run', 'cat file'), 'kept\n');
    t.not(await overSocket(again, '/run', 'cat boot-mark'), mark);
  });

  for (const how of ['stop', 'remove'] as const) {
    testOfProcesses(title(`${how} ends jobs in sessions of their own`), async (t) => {
      const world = await setup(t);
      const container = await started(world.provider);
      const mark = `3${container.id.replace(/[a-f]/g, '').slice(0, 9)}`;
      await overSocket(container, '/spawn', `setsid sleep ${mark} & sleep ${mark}`);
      await until(() => world.runs(`sleep ${mark}`));
      await (how === 'stop'
        ? world.provider.stop(container.id, noGrace)
        : world.provider.remove(container.id));
      t.false(await world.runs(`sleep ${mark}`));
    });
  }

  test(title('S32: a removed container leaves no files, no process and no list entry'), async (t) => {
    const {provider, directories} = await setup(t);
    const container = await started(provider);
    await overSocket(
      container,
      '/run',
      'mkdir -p a/b && touch a/b/c && ln -s /etc/hostname link && chmod 500 a/b a',
    );
    await provider.remove(container.id);
    t.deepEqual(await provider.list(), []);
    t.false(existsSync(directories(container.id).data));
    t.true(existsSync('/etc/hostname'));
    await t.throwsAsync(overSocket(container, '/health'));
    await t.throwsAsync(provider.start(container.id), {code: 'CONTAINER_NOT_FOUND'});
  });

  test(title('removing an unknown or hostile id does nothing'), async (t) => {
    const {provider} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    for (const unknown of ['0'.repeat(24), '../../etc', '', '.']) await provider.remove(unknown);
    t.deepEqual(
      (await provider.list()).map((container) => container.id),
      [id],
    );
  });

  test(title('remove gives up a start that is under way'), async (t) => {
    const {provider, directories} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(id).data}/stub-mode`, 'mute');
    const starting = t.throwsAsync(provider.start(id));
    await until(async () => existsSync(`${directories(id).data}/boot-mark`));
    await provider.remove(id);
    await starting;
    t.deepEqual(await provider.list(), []);
  });

  test(title('remove does not wait for the grace of a stop that is under way'), async (t) => {
    const {provider, directories} = await setup(t);
    const made = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(made.id).data}/stub-stop-ms`, '2000000000');
    await provider.start(made.id);
    const stopping = provider.stop(made.id, {graceMs: 60_000, reason: 'test'});
    await until(async () => existsSync(`${directories(made.id).data}/stopped-on-sigterm`));
    await provider.remove(made.id);
    await stopping;
    t.deepEqual(await provider.list(), []);
  });

  test(title('a start is given up when its signal aborts, and nothing is left running'), async (t) => {
    const {provider, directories, runs} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(id).data}/stub-mode`, 'mute');
    const abort = new AbortController();
    const starting = t.throwsAsync(provider.start(id, {signal: abort.signal}), {message: 'enough'});
    await until(async () => existsSync(`${directories(id).data}/boot-mark`));
    abort.abort(new Error('enough'));
    await starting;
    t.false(await runs(id));
  });

  testOfProcesses(title('a runtime that dies at its start is reported with its last words'), async (t) => {
    const {provider, directories} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(id).data}/stub-mode`, 'die');
    const error = await t.throwsAsync(provider.start(id), {
      instanceOf: AppError,
      code: 'PROVIDER_UNAVAILABLE',
    });
    t.regex(error?.message ?? '', /the disk is on fire/);
    t.is((await provider.list())[0]?.state, 'failed');
  });

  testOfSeenProcesses(title('a ready line with the pid of another process is refused'), async (t) => {
    const {provider, directories, runs} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(id).data}/stub-mode`, 'lie');
    await t.throwsAsync(provider.start(id), {code: 'PROVIDER_UNAVAILABLE'});
    t.false(await runs(id));
  });

  test(title('labels are merged, removed by null and survive a restart of the controller'), async (t) => {
    const world = await setup(t);
    const {id} = await world.provider.create({name: 'main-1', labels: {a: '1', b: '2'}});
    const changed = await world.provider.label(id, {a: null, b: '3', 'key "ü"\n': 'value\0'});
    t.deepEqual(changed.labels, {b: '3', 'key "ü"\n': 'value\0'});
    const reopened = await world.reopen();
    t.deepEqual((await reopened.list())[0]?.labels, changed.labels);
  });

  testOfProcesses(
    title('a container outlives the kill of its controller and is adopted by the next one'),
    async (t) => {
      const world = await setup(t);
      await world.startInProcessThatIsKilled('orphan');
      const next = await world.reopen();
      const [container] = await next.list();
      if (container === undefined) return t.fail('the container is not listed');
      t.like(container, {name: 'orphan', state: 'running'});
      t.is(await overSocket(container, '/health'), 'ok');
      await overSocket(container, '/spawn', 'sleep 1000');
      await next.stop(container.id, noGrace);
      t.is((await next.list())[0]?.state, 'stopped');
      t.false(await world.runs(container.id));
      return undefined;
    },
  );

  testOfProcesses(
    title('watch reports a runtime that was killed, and a new start ends what it left'),
    async (t) => {
      const world = await setup(t);
      const container = await started(world.provider);
      const mark = `4${container.id.replace(/[a-f]/g, '').slice(0, 9)}`;
      const bootMark = await overSocket(container, '/run', 'cat boot-mark');
      await overSocket(container, '/spawn', `sleep ${mark}`);
      await until(() => world.runs(`sleep ${mark}`));
      const events: ContainerEvent[] = [];
      t.teardown(world.provider.watch((event) => events.push(event)));
      await overSocket(container, '/run', 'kill -9 $PPID').catch(() => {});
      await until(async () => events.length > 0);
      t.deepEqual(events, [{id: container.id, type: 'exited'}]);
      t.is((await world.provider.list())[0]?.state, 'failed');

      const again = await world.provider.start(container.id);
      t.is(again.state, 'running');
      t.false(await world.runs(`sleep ${mark}`));
      t.is(await overSocket(again, '/run', 'cat boot-mark'), bootMark);
    },
  );

  test(
    title(
      'a clone has the workspace of its snapshot and an empty data directory, unless its data are asked for',
    ),
    async (t) => {
      const {provider, directories} = await setup(t);
      const container = await started(provider);
      const {workspace, data} = directories(container.id);
      await mkdir(`${workspace}/bin`);
      await writeFile(`${workspace}/bin/tool`, '#!/bin/sh\n');
      await chmod(`${workspace}/bin/tool`, 0o755);
      await symlink('bin/tool', `${workspace}/link`);
      await writeFile(`${data}/events.db`, 'rows');

      const snapshot = await provider.snapshot(container.id, 'main-snapshot');
      t.is(await overSocket(container, '/health'), 'ok');
      t.deepEqual(await provider.listSnapshots(), [snapshot]);

      const clone = await provider.create({name: 'clone', labels: {}, from: 'main-snapshot'});
      const copy = directories(clone.id);
      t.is(await readFile(`${copy.workspace}/link`, 'utf8'), '#!/bin/sh\n');
      t.is((await Bun.file(`${copy.workspace}/bin/tool`).stat()).mode & 0o777, 0o755);
      t.false(existsSync(`${copy.data}/events.db`));
      const whole = await provider.create({name: 'whole', labels: {}, from: 'main-snapshot', withData: true});
      t.is(await readFile(`${directories(whole.id).data}/events.db`, 'utf8'), 'rows');
      t.is((await provider.start(clone.id)).state, 'running');

      await provider.removeSnapshot('main-snapshot');
      t.deepEqual(await provider.listSnapshots(), []);
      await t.throwsAsync(provider.create({name: 'other', labels: {}, from: 'main-snapshot'}), {
        code: 'SNAPSHOT_NOT_FOUND',
      });
    },
  );

  test(title('a snapshot replaces an older one of its name'), async (t) => {
    const {provider, directories} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    await writeFile(`${directories(id).workspace}/file`, 'old');
    await provider.snapshot(id, 'same');
    await writeFile(`${directories(id).workspace}/file`, 'new');
    await provider.snapshot(id, 'same');
    t.is((await provider.listSnapshots()).length, 1);
    const clone = await provider.create({name: 'clone', labels: {}, from: 'same'});
    t.is(await readFile(`${directories(clone.id).workspace}/file`, 'utf8'), 'new');
  });

  test(title('refuses hostile snapshot names'), async (t) => {
    const {provider} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    for (const hostile of ['', '.', '..', '../x', '.making-1', 'a/b', 'a\0', 'x'.repeat(101)]) {
      await t.throwsAsync(provider.snapshot(id, hostile), {code: 'INVALID_NAME'}, hostile);
      await t.throwsAsync(
        provider.create({name: 'clone', labels: {}, from: hostile}),
        {code: 'INVALID_NAME'},
        hostile,
      );
    }
    t.is((await provider.list()).length, 1);
  });

  test(
    title('a container is held to its memory, and its runtime outlives the job that took too much'),
    async (t) => {
      const {provider} = await setup(t);
      const limits = {cpus: null, memoryBytes: 256 * 1024 ** 2};
      const {id} = await provider.create({name: 'main-1', labels: {}, limits});
      const container = await provider.start(id);
      t.deepEqual(container.limits, limits);
      if (container.unenforced.includes('memory')) {
        t.log('this host has no means to bound memory');
        return;
      }
      t.is(await overSocket(container, '/run', eatMemory), '137\n');
      t.is(await overSocket(container, '/health'), 'ok');
      await provider.limit(id, {cpus: null, memoryBytes: null});
      t.is(await overSocket(container, '/run', eatMemory), '0\n');
    },
  );

  test(title('limits of a container that runs are set without a restart, and last'), async (t) => {
    const world = await setup(t);
    const container = await started(world.provider);
    t.deepEqual(container.limits, {cpus: null, memoryBytes: null});
    const mark = await overSocket(container, '/run', 'cat boot-mark');
    const limits = {cpus: 0.5, memoryBytes: 256 * 1024 ** 2};
    const limited = await world.provider.limit(container.id, limits);
    t.deepEqual(limited.limits, limits);
    t.is(await overSocket(container, '/run', 'cat boot-mark'), mark);
    t.deepEqual((await (await world.reopen()).list())[0]?.limits, limits);
    if (!limited.unenforced.includes('memory')) t.is(await overSocket(container, '/run', eatMemory), '137\n');
    await world.provider.stop(container.id, noGrace);
    t.deepEqual((await world.provider.start(container.id)).unenforced, limited.unenforced);
  });

  test(
    title('a container whose data are gone does not start, unless an empty beginning is asked for'),
    async (t) => {
      const {provider, directories} = await setup(t);
      const {id} = await started(provider);
      await provider.stop(id, noGrace);
      await rm(directories(id).data, {recursive: true});
      await t.throwsAsync(provider.start(id), {code: 'DATA_LOST'});
      t.not((await provider.list())[0]?.state, 'running');
      t.is((await provider.start(id, {makeData: true})).state, 'running');
    },
  );

  // What a level does not promise is in its gaps, in docs/security.md and in the status.
  testOfProcesses(
    title(
      "S35: a job cannot reach what its level keeps from it: others' files, processes, sockets, the state, git credentials",
    ),
    async (t) => {
      const {provider, directories, outside} = await setup(t);
      const [mine, other] = [await started(provider, 'mine'), await started(provider, 'other')];
      await overSocket(other, '/run', 'echo secret-of-other >secret');
      await overSocket(other, '/spawn', 'exec sleep 1000');
      const run = (command: string) => overSocket(mine, '/run', `{ ${command}; } 2>&1 && echo reached`);
      const attempts: Record<Exclude<Reach, 'host_network'>, string[]> = {
        files_of_others: [
          `grep secret-of-other ${directories(other.id).data}/secret`,
          `ls ${directories(other.id).workspace}`,
          `touch ${directories(other.id).data}/evil`,
        ],
        processes_of_others: [
          `grep -l BRANCHTAB_CONTAINER=${other.id} /proc/[0-9]*/environ`,
          `ls -l /proc/[0-9]*/cwd | grep ${other.id}`,
        ],
        sockets_of_others: [
          `curl -sS --unix-socket ${other.controlSocket} http://runtime/health`,
          `curl -sS --unix-socket ${mine.controlSocket} http://runtime/health`,
        ],
        state_directory: [`cat ${outside.state}`, `ls ${dirname(outside.state)}`],
        git_credentials: [`cat ${outside.credentials}`, 'env | grep -E "^(GIT_|SSH_)"'],
      };
      for (const [what, commands] of Object.entries(attempts)) {
        if ((provider.gaps as readonly string[]).includes(what)) continue;
        for (const command of commands) t.notRegex(await run(command), /reached/, command);
      }
      // The attempts themselves are sound: of its own each of them succeeds.
      t.regex(await run('cat boot-mark'), /reached/);
      t.regex(
        await run(`grep -l BRANCHTAB_CONTAINER=${mine.id} /proc/[0-9]*/environ | head -n 1 | grep .`),
        /reached/,
      );
      t.false(existsSync(`${directories(other.id).data}/evil`) && !provider.gaps.includes('files_of_others'));
    },
  );

  testOfProcesses(
    title("S35: a job reaches the host's loopback and its neighbour's services only where its level says so"),
    async (t) => {
      const {provider} = await setup(t);
      const host = Bun.serve({
        hostname: '127.0.0.1',
        port: 0,
        fetch: () => new Response('secret of the host'),
      });
      t.teardown(() => host.stop(true));
      const [mine, other] = [await started(provider, 'mine'), await started(provider, 'other')];
      const open = provider.gaps.includes('host_network');
      const reached = await overSocket(mine, '/fetch', `http://127.0.0.1:${host.port}/`);
      t.is(reached.includes('secret of the host'), open);
      // The stub lets everybody in; the runtime looks at who asks.
      t.is((await overSocket(mine, '/fetch', `${other.kitUrl}/id`)) === other.id, open);
      t.is(await overSocket(mine, '/fetch', `${mine.kitUrl}/id`), mine.id);
    },
  );

  testOfProcesses(title('a snapshot of files that jobs change is of one moment'), async (t) => {
    const {provider, directories, freezes = true} = await setup(t);
    if (!freezes) {
      t.log('this host has no means to freeze a container');
      return t.pass();
    }
    const container = await started(provider);
    const {workspace} = directories(container.id);
    // The second file is never older than the first and at most one step behind it; names sort far apart.
    await overSocket(
      container,
      '/spawn',
      'cd ../srv; i=0; while :; do i=$((i+1)); echo $i >a; echo $i >z; sleep 0.001; done',
    );
    for (let index = 0; index < 300; index += 1)
      await writeFile(`${workspace}/m${index}`, 'x'.repeat(10_000));
    await until(async () => existsSync(`${workspace}/z`));
    await provider.snapshot(container.id, 'main');
    const clone = await provider.create({name: 'clone', labels: {}, from: 'main'});
    const read = async (name: string) =>
      Number(await readFile(`${directories(clone.id).workspace}/${name}`, 'utf8'));
    const [first, last] = [await read('a'), await read('z')];
    // A file may be empty for the instant between being opened and being written.
    t.true(first === 0 || last === 0 || first - last === 0 || first - last === 1, `${first} ${last}`);
    const before = await readFile(`${workspace}/z`, 'utf8');
    await until(async () => (await readFile(`${workspace}/z`, 'utf8')) !== before);
    return undefined;
  });

  testOfProcesses(title('a paused start says so to the runtime, the next one no more'), async (t) => {
    const {provider} = await setup(t);
    const {id} = await provider.create({name: 'main-1', labels: {}});
    const boot = (container: Container) =>
      overSocket(container, '/run', "tr '\\0' ' ' </proc/$PPID/cmdline; cat /run/branchtab/boot 2>/dev/null");
    t.regex(await boot(await provider.start(id, {paused: true})), /paused-[0-9a-f]{8}-/);
    await provider.stop(id, noGrace);
    t.notRegex(await boot(await provider.start(id)), /paused-/);
  });

  testOfProcesses(title('the environment of a runtime holds nothing of its controller'), async (t) => {
    const {provider} = await setup(t);
    const container = await started(provider);
    const environment: unknown = JSON.parse(await overSocket(container, '/env'));
    if (typeof environment !== 'object' || environment === null) return t.fail('no environment');
    // PWD is bubblewrap's; BUN_* set up the engine and say nothing of the controller.
    const harmless = ['PWD', ...variablesOfEngines];
    const names = Object.keys(environment).filter(
      (variable) => !harmless.includes(variable) && !variable.startsWith('BUN_'),
    );
    t.deepEqual(names.toSorted(), ['BRANCHTAB_CONTAINER', 'LANG', 'PATH', 'TZ']);
    return undefined;
  });
}

export async function started(provider: ContainerProvider, name = 'main-1'): Promise<Container> {
  const {id} = await provider.create({name, labels: {}});
  return await provider.start(id);
}

/** GET, or POST when there is a body, on the controller's socket of a container. */
export async function overSocket(container: Container, path: string, body?: string): Promise<string> {
  const method = body === undefined ? {} : {method: 'POST', body};
  const response = await fetch(`http://runtime${path}`, {unix: container.controlSocket, ...method});
  return await response.text();
}

/** Looks again until `met`; the test's own time limit ends a vain wait. */
export async function until(met: () => Promise<boolean>): Promise<void> {
  while (!(await met())) await Bun.sleep(5);
}
