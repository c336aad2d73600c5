import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {installOwnRuntime} from '../cli/own-runtime.ts';
import {createIncusProvider} from '../reconciler/containers/incus/incus-provider.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {silentLog} from '../runtime/platform/log.ts';
import {askIncus, startTestIncus} from '../test/helpers/incus-daemon.ts';
import {type Bench, percentile} from './result.ts';

const clones = 40;

export const cloneBench: Bench = {
  name: 'clone',
  summary: 'a clone of a snapshot on LXD: time until it answers, and its disk',
  async run({progress, teardown}) {
    progress('starting LXD');
    const server = await startTestIncus();
    if ('reason' in server)
      return {name: 'clone', figures: [], values: {}, notes: [`not measured: ${server.reason}`]};
    const root = await mkdtemp(join(tmpdir(), 'bt-'));
    const stateDirectory = join(root, 'state');
    teardown(async () => {
      await server.close();
      await rm(root, {recursive: true, force: true});
    });
    const {command, directory} = await installOwnRuntime({stateDirectory});
    const provider = await createIncusProvider({
      stateDirectory,
      socketRoot: root,
      clock: systemClock,
      log: silentLog,
      incus: server.incus,
      owner: '0123456789abcdef',
      runtimeCommand: command,
      runtimeDirectory: directory,
      image: server.image,
      pool: server.pool,
      network: 'none',
    });
    const first = await provider.create({name: 'main', labels: {}});
    await provider.start(first.id);
    await provider.snapshot(first.id, 'main-snapshot');
    const usedBytes = await used(server.socketPath, server.pool);
    const created: number[] = [];
    const answering: number[] = [];
    for (let index = 0; index < clones; index += 1) {
      progress(`clone ${index + 1} of ${clones}`);
      const startMs = performance.now();
      const {id} = await provider.create({name: `clone-${index}`, labels: {}, from: 'main-snapshot'});
      created.push(performance.now() - startMs);
      const {controlSocket} = await provider.start(id);
      const health = await fetch('http://runtime/health', {unix: controlSocket});
      if (!health.ok) throw new Error(`clone ${index} answers ${health.status}`);
      answering.push(performance.now() - startMs);
    }
    const diskMegabytes = ((await used(server.socketPath, server.pool)) - usedBytes) / clones / 1e6;
    for (const {id} of await provider.list()) await provider.remove(id);
    await provider.removeSnapshot('main-snapshot');
    await provider.close();
    return {
      name: 'clone',
      figures: [
        {
          label: 'create to answering /health, p50',
          value: percentile(answering, 0.5),
          unit: 'ms',
          limit: 600,
        },
        {label: 'create to answering /health, p99', value: percentile(answering, 0.99), unit: 'ms'},
        {label: 'create alone, p50', value: percentile(created, 0.5), unit: 'ms'},
        {label: `disk of a started clone, mean of ${clones}`, value: diskMegabytes, unit: 'MB', limit: 1},
      ],
      values: {
        clones,
        driver: server.driver,
        answering_ms: answering,
        created_ms: created,
        disk_mb: diskMegabytes,
      },
      notes: [`storage driver ${server.driver}; one clone after another, none is stopped meanwhile`],
    };
  },
};

/** What the pool has written, in bytes. */
async function used(socketPath: string, pool: string): Promise<number> {
  await Bun.spawn(['sync']).exited;
  const resources = await askIncus(socketPath, 'GET', `/1.0/storage-pools/${pool}/resources`);
  return (resources as {space: {used: number}}).space.used;
}
