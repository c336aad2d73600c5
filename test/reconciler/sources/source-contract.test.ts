import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {openLocalSource} from '../../../reconciler/sources/git-local.ts';
import {openRemoteSource} from '../../../reconciler/sources/git-remote.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {sourceContract} from '../../contract/source.ts';
import {serveOverHttp} from '../../helpers/git-http.ts';
import type {GitWorld} from '../../helpers/git-world.ts';

const openLocal = (world: GitWorld, path: string) =>
  openLocalSource({path, environment: world.environment, clock: systemClock, log: silentLog});

sourceContract(test, {
  name: 'work tree',
  world: {bare: false},
  open: (_t, world) => openLocal(world, world.path),
});

sourceContract(test, {
  name: 'bare',
  world: {bare: true},
  open: (_t, world) => openLocal(world, world.path),
});

sourceContract(test, {
  name: 'directory in a work tree',
  world: {bare: false},
  async open(_t, world) {
    const inside = join(world.path, 'untracked', 'deep');
    await mkdir(inside, {recursive: true});
    return openLocal(world, inside);
  },
});

const openRemote = (world: GitWorld, url: string) =>
  openRemoteSource({
    url,
    access: {kind: 'address'},
    mirrorDirectory: join(world.directory, 'mirror'),
    environment: world.environment,
    clock: systemClock,
    log: silentLog,
  });

sourceContract(test, {
  name: 'remote by file',
  world: {bare: true},
  open: (_t, world) => openRemote(world, `file://${world.path}`),
});

sourceContract(test, {
  name: 'remote by http',
  world: {bare: true},
  open: async (t, world) => openRemote(world, await serveOverHttp(t, world)),
});
