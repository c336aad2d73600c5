import {existsSync} from 'node:fs';
import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {createProcessProvider} from '../../reconciler/containers/process/process-provider.ts';
import type {Container, ContainerEvent, ContainerProvider} from '../../reconciler/containers/provider.ts';
import type {ProviderOptions} from '../../reconciler/containers/table-provider.ts';
import {installStub, processesWith} from '../helpers/provider-world.ts';
import {
  overSocket,
  type ProviderWorld,
  registerContainerProviderContract,
  started,
  until,
} from './container-provider.ts';

/** The world of a provider whose containers are an engine's. */
export interface EngineWorld extends ProviderWorld {
  readonly stateDirectory: string;
  readonly options: ProviderOptions;
  open(change?: Partial<ProviderOptions>): Promise<ContainerProvider>;
  /** What a container is called in the engine. */
  nameInEngine(container: Container): string;
  /** Of everything that runs or could be run for this state directory in the engine. */
  labelsInEngine(): Promise<Readonly<Record<string, string>>[]>;
  /** Makes something that we did not make, or no longer know, and starts it. It is gone when the test is over. */
  runForeign(
    name: string,
    is?: {readonly isOurs?: boolean; readonly id?: string; readonly snapshot?: string},
  ): Promise<{runs(): Promise<boolean>; remove(): Promise<void>}>;
}

export interface EngineServer {
  readonly image: string;
  readonly muslImage: string;
  /** Kills its service with SIGKILL; containers go on. */
  kill(): Promise<void>;
  revive(): Promise<void>;
  close(): Promise<void>;
}

export interface EngineContractOptions<Server extends EngineServer> {
  readonly name: string;
  /** The engine, or why there is none here. */
  readonly server: Server | {readonly reason: string};
  /** `intercept` is to stand between the provider and its engine. */
  setup(
    t: ExecutionContext,
    server: Server,
    change?: {readonly image?: string; readonly intercept?: Intercept},
  ): Promise<EngineWorld>;
  /** True where the way to a container leads through its engine, which is on another machine. */
  readonly isFar?: boolean;
  /** The calls of the engine's port that do the main part of each. */
  readonly calls: Readonly<Record<'making' | 'start' | 'removal' | 'snapshot', string>>;
}

export type Intercept = <Client extends object>(client: Client) => Client;

const noGrace = {graceMs: 0, reason: 'test'};

/** Registers the provider's contract, and what every provider does besides that has its containers in an engine. */
export function registerEngineProviderContract<Server extends EngineServer>({
  name,
  server,
  setup,
  isFar = false,
  calls,
}: EngineContractOptions<Server>): void {
  const skipReason = 'reason' in server ? server.reason : null;
  const test = (skipReason === null ? anyTest.serial : anyTest.skip) as TestFn;
  const title = (text: string) => `${name}: ${text}`;
  const own = (): Server => {
    if ('reason' in server) throw new Error(server.reason);
    return server;
  };
  const world = (t: ExecutionContext, change?: Parameters<typeof setup>[2]) => setup(t, own(), change);

  registerContainerProviderContract({name, skipReason, seesProcesses: !isFar, setup: (t) => world(t)});
  anyTest.after.always(`${name} ends`, async () => {
    if (!('reason' in server)) await server.close();
  });

  test(title('names of the kits and localhost lead to the own runtime, on port 80'), async (t) => {
    const container = await started((await world(t)).provider);
    for (const name of ['localhost', 'hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications'])
      t.is(await overSocket(container, '/run', `wget -qO- http://${name}/id`), container.id, name);
  });

  test(
    title(
      'what a job changed in the file system survives a restart and comes into clones, and nothing of its data, records and secrets does',
    ),
    async (t) => {
      const here = await world(t);
      const {provider} = here;
      const container = await started(here.provider);
      await overSocket(
        container,
        '/run',
        'mkdir -p /opt && echo tool >/opt/tool && echo row >/data/rows && cd /var/lib/branchtab && echo secret >secret && echo secret >.secret && echo tree >workspace.json && echo old >/run/branchtab/left',
      );
      await provider.stop(container.id, noGrace);
      const again = await provider.start(container.id);
      t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
      await provider.snapshot(container.id, 'main');
      t.is(await overSocket(again, '/health'), 'ok');
      for (const withData of [false, true]) {
        const {id} = await provider.create({name: `clone-${withData}`, labels: {}, from: 'main', withData});
        const clone = await provider.start(id);
        t.is(await overSocket(clone, '/run', 'cat /opt/tool'), 'tool\n');
        t.is(await overSocket(clone, '/id'), id);
        t.is(await overSocket(clone, '/run', 'ls -A /var/lib/branchtab'), 'workspace.json\n');
        t.notRegex(await overSocket(clone, '/run', 'ls /run/branchtab'), /left/);
        t.is(await overSocket(clone, '/run', 'cat /data/rows'), withData ? 'row\n' : '');
      }
    },
  );

  test(title('a clone outlives its snapshot, and the snapshot its container'), async (t) => {
    const here = await world(t);
    const {provider} = here;
    const container = await started(here.provider);
    await overSocket(container, '/run', 'mkdir -p /opt && echo tool >/opt/tool');
    await provider.snapshot(container.id, 'main');
    await provider.remove(container.id);
    const {id} = await provider.create({name: 'clone', labels: {}, from: 'main'});
    await provider.removeSnapshot('main');
    t.is(await overSocket(await provider.start(id), '/run', 'cat /opt/tool'), 'tool\n');
    t.is((await here.labelsInEngine()).length, 1);
  });

  test(title('an image with musl is refused with a word on what to do, and leaves nothing'), async (t) => {
    const here = await world(t, {image: own().muslImage});
    await t.throwsAsync(here.provider.create({name: 'main-1', labels: {}}), {
      code: 'IMAGE_UNUSABLE',
      message: /musl.*Debian.*branchtab\.yaml/s,
    });
    t.deepEqual(await readdir(join(here.stateDirectory, 'containers')), []);
    t.deepEqual(await here.labelsInEngine(), []);
  });

  test(title('an image that is nowhere is refused by its name'), async (t) => {
    const {provider} = await world(t, {image: 'localhost:1/no/such:image'});
    await t.throwsAsync(provider.create({name: 'main-1', labels: {}}), {
      code: 'IMAGE_UNUSABLE',
      message: /localhost:1\/no\/such:image/,
    });
  });

  test(title('containers of others are never touched, whatever they are called'), async (t) => {
    const here = await world(t);
    const {provider} = here;
    const made = await provider.create({name: 'main-1', labels: {}});
    const theirs = await here.runForeign(here.nameInEngine(made));
    const refusal = {code: 'NAME_TAKEN', message: /not made by this state directory/};
    await t.throwsAsync(provider.start(made.id), refusal);
    await t.throwsAsync(provider.stop(made.id, noGrace), refusal);
    await t.throwsAsync(provider.remove(made.id), refusal);
    await here.reopen();
    t.true(await theirs.runs());
    await theirs.remove();
    await provider.remove(made.id);
    t.deepEqual(await provider.list(), []);
  });

  test(title('what a crash left is removed at the next start, and nothing of others'), async (t) => {
    const here = await world(t);
    const orphan = await here.runForeign('orphan', {isOurs: true, id: 'e'.repeat(24)});
    const theirs = await here.runForeign('theirs');
    const kept = await started(here.provider);
    await here.reopen();
    t.false(await orphan.runs());
    t.true(await theirs.runs());
    t.is(await overSocket(kept, '/health'), 'ok');
  });

  test(title('a newer runtime is taken at the next start, and the file system is kept'), async (t) => {
    const here = await world(t);
    const container = await started(here.provider);
    await overSocket(container, '/run', 'mkdir -p /opt && echo kept >/opt/file');
    const newer = await installStub(join(here.stateDirectory, '../newer'));
    await writeFile(join(newer.runtimeDirectory, 'mark'), 'newer');
    const next = await here.open(newer);
    await next.stop(container.id, noGrace);
    const upgraded = await next.start(container.id);
    t.is(await overSocket(upgraded, '/run', 'cat /run/branchtab-runtime/mark /opt/file'), 'newerkept\n');
  });

  test(
    title('a domain that was configured later has its names in a container from the next start on'),
    async (t) => {
      const here = await world(t);
      const {id} = await started(here.provider);
      const next = await here.open({domain: 'hoody.example'});
      for (let start = 1; start <= 2; start += 1) {
        await next.stop(id, noGrace);
        const container = await next.start(id);
        for (const kit of ['cron', 'exec', 'pipe', 'notifications'])
          t.is(await overSocket(container, '/run', `wget -qO- http://${kit}.hoody.example/id`), id, kit);
        t.is(await overSocket(container, '/run', 'grep -c exec.hoody.example /etc/hosts'), '1\n');
      }
    },
  );

  test(title('a state directory of another provider is refused, not begun anew'), async (t) => {
    const here = await world(t);
    await here.provider.create({name: 'main-1', labels: {}});
    await t.throwsAsync(createProcessProvider({...here.options, level: 'plain'}), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`provider ${here.provider.name}`),
    });
  });

  test(title('the engine shows labels that people look for, and no others'), async (t) => {
    const here = await world(t);
    const labels = {'branchtab.branch': 'feature/x', 'branchtab.secret': 'no'};
    const {id} = await here.provider.create({name: 'main-1', labels});
    await here.provider.start(id);
    const [shown] = await here.labelsInEngine();
    t.like(shown, {'branchtab.branch': 'feature/x', 'branchtab.name': 'main-1'});
    t.false('branchtab.secret' in (shown ?? {}));
  });

  const killedDuring: Record<
    string,
    {at: string; work: (provider: ContainerProvider, id: string) => unknown}
  > = {
    'the making of a container': {
      at: calls.making,
      work: async (provider) => provider.start((await provider.create({name: 'second', labels: {}})).id),
    },
    'a start': {at: calls.start, work: (provider, id) => provider.start(id)},
    'a removal': {at: calls.removal, work: (provider, id) => provider.remove(id)},
    'a snapshot': {at: calls.snapshot, work: (provider, id) => provider.snapshot(id, 'main')},
  };

  for (const [what, {at, work}] of Object.entries(killedDuring)) {
    test(
      title(
        `an engine that is killed during ${what} fails it with a word on what to do, and all goes on when it is back`,
      ),
      async (t) => {
        let isArmed = false;
        const here = await world(t, {
          intercept: callsOf(at, async (call) => {
            if (!isArmed) return;
            isArmed = false;
            // It is under way when the engine ends, and may fail before anybody waits for it.
            call.catch(() => {});
            await own().kill();
          }),
        });
        const neighbour = await started(here.provider, 'neighbour');
        const {id} = await here.provider.create({name: 'main-1', labels: {}});
        if (what === 'a removal' || what === 'a snapshot') await here.provider.start(id);
        isArmed = true;
        try {
          await work(here.provider, id);
        } catch (error) {
          t.regex(String(error), /engine|server|runtime/);
        }
        t.false(isArmed);
        t.true(await here.runs(neighbour.id), 'what runs does not need the engine');
        if (!isFar) t.is(await overSocket(neighbour, '/health'), 'ok');
        await own().revive();

        const next = await here.reopen();
        await work(next, id);
        const names = (await next.list()).map((each) => each.name).toSorted();
        const expected = {
          'the making of a container': ['main-1', 'neighbour', 'second'],
          'a start': ['main-1', 'neighbour'],
          'a removal': ['neighbour'],
          'a snapshot': ['main-1', 'neighbour'],
        }[what];
        t.deepEqual(names, expected);
        t.deepEqual(
          (await next.listSnapshots()).map((each) => each.name),
          what === 'a snapshot' ? ['main'] : [],
        );
        if (what === 'a removal') t.false(existsSync(here.directories(id).data));
        const ids = (await next.list()).map((each) => each.id);
        for (const each of ids) t.is(await overSocket(await next.start(each), '/health'), 'ok', each);
        const labels = await here.labelsInEngine();
        const labelled = (key: string) => labels.flatMap((each) => each[`branchtab.${key}`] || []).toSorted();
        t.deepEqual(labelled('id'), ids.toSorted(), 'nothing else is there, and nothing twice');
        t.true(new Set(labelled('snapshot')).size <= 1);
      },
    );
  }

  test(
    title(
      'an engine that is away is no container that ended, and one that ended meanwhile is told when it is back',
    ),
    async (t) => {
      const here = await world(t);
      const [stays, ends] = [await started(here.provider, 'stays'), await started(here.provider, 'ends')];
      const events: ContainerEvent[] = [];
      t.teardown(here.provider.watch((event) => events.push(event)));
      await own().kill();
      await t.throwsAsync(here.provider.list(), {
        code: 'PROVIDER_UNAVAILABLE',
        message: /DOCKER_HOST|branchtab\.yaml/,
      });
      for (const pid of await processesWith(ends.id)) signal(pid, 'SIGKILL');
      await until(async () => !(await here.runs(ends.id)));
      t.deepEqual(events, []);
      await own().revive();
      await until(async () => events.length > 0);
      t.deepEqual(events, [{id: ends.id, type: 'exited'}]);
      t.is(await overSocket(stays, '/health'), 'ok');
    },
  );
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended with another of the same container.
  }
}

/** Tells `onCall` of every call of one method, and passes them all on. */
export function callsOf(method: string, onCall: (call: Promise<unknown>) => Promise<void>): Intercept {
  return (client) =>
    new Proxy(client, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name !== method || typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const call = Reflect.apply(value, target, args) as Promise<unknown>;
          await onCall(call);
          return await call;
        };
      },
    });
}
